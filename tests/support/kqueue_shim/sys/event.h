/* The kqueue interface for Linux, for tests only: what the kqueue backend uses of it, with the
 * names and numbers that FreeBSD's manual gives. See ../shim_linux.c. */
#ifndef RPI_TESTS_KQUEUE_SHIM_EVENT_H
#define RPI_TESTS_KQUEUE_SHIM_EVENT_H

#include <stdint.h>

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    int64_t data;
    void *udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_PROC (-5)
#define EVFILT_TIMER (-7)
#define EVFILT_USER (-11)

#define EV_ADD 0x0001U
#define EV_DELETE 0x0002U
#define EV_ENABLE 0x0004U
#define EV_DISABLE 0x0008U
#define EV_ONESHOT 0x0010U
#define EV_CLEAR 0x0020U
#define EV_RECEIPT 0x0040U
#define EV_DISPATCH 0x0080U
#define EV_ERROR 0x4000U
#define EV_EOF 0x8000U

#define NOTE_EXIT 0x80000000U
#define NOTE_TRIGGER 0x01000000U

#endif
