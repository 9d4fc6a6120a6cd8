/* The screen of a child on a pseudo-terminal (rp_command.screen): an observer in front of all
 * others that feeds the emulator (pty/screen.h), so that whoever is told of the same bytes later
 * finds them on it. */
#ifndef RPI_CORE_SCREEN_H
#define RPI_CORE_SCREEN_H

#include <stdint.h>

#include "pty/screen.h"
#include "rp/base.h"

typedef struct rpi_process_screen rpi_process_screen;

/** For rp_spawn: gives a process its screen, which goes with it. 0; RP_EUNSUPPORTED, RP_EINVAL,
 * -ENOMEM: see rpi_screen_open. */
int rpi_process_screen_open(rp_process *process, uint16_t rows, uint16_t cols);

/** The terminal is resized. Errors as rpi_screen_resize; 0 where there is no screen. */
int rpi_process_screen_resize(rp_process *process, uint16_t rows, uint16_t cols);

/** What is to be seen now. Views until the screen is asked again or fed. 0; RP_EINVAL: no screen;
 * -ENOMEM. */
int rpi_process_screen_get(rp_process *process, rpi_screen_look *ret_look);

/** The rows alone, and their generation: another one whenever the text is. As get. For expects, to
 * search after each batch of output. */
int rpi_process_screen_text(rp_process *process, rp_view *ret_text, uint64_t *ret_generation);

/** When the text changed last, as far as looks have shown: the time of the output that did it. */
int rpi_process_screen_changed_at(rp_process *process, uint64_t *ret_changed_at_ns);

#endif
