/* running-process: everything at once. The conventions stand in rp/base.h. */
#ifndef RP_RP_H
#define RP_RP_H

#include "rp/base.h"        /* results, errors, types, text */
#include "rp/command.h"     /* what to run, and how */
#include "rp/contain.h"     /* trees, holders, orphans */
#include "rp/expect.h"      /* waiting for what a child says */
#include "rp/explain.h"     /* one process and why it waits */
#include "rp/group.h"       /* children that end together */
#include "rp/idle.h"        /* when a child has gone quiet */
#include "rp/interactive.h" /* consoles, typed commands */
#include "rp/iterate.h"     /* pull mode, rp_run */
#include "rp/loop.h"        /* the loop, timers, watches */
#include "rp/process.h"     /* children */
#include "rp/terminal.h"    /* terminals of children */
#include "rp/track.h"       /* live children on disk */

#endif
