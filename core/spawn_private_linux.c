/* A thread with a descriptor table of its own, which makes children for a lane whose descriptors
 * are high: in a host that opened thousands before the loop. The lane sends what the child needs by
 * SCM_RIGHTS, the thread gets it under low numbers, makes the child there, and sends the pidfd
 * back; everything else is in the memory that both share. One request at a time, each waited for.
 *
 * In its table stand /dev/null on 0 to 2 (the host's would be held open), its socket on 3, and what
 * the request under way brought. The pidfd stays there until the next request, so that a child
 * whose pidfd found no place in the host's full table can still be killed: a program that nobody
 * holds must not go on running. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/os.h"
#include "base/raw_linux.h"
#include "core/spawn_linux.h"

#define SOCKET 3 /* of the thread, in its own table */

typedef enum request_kind {
    REQUEST_MAKE = 0,
    REQUEST_DROP /* the last child: its pidfd did not arrive */
} request_kind;

/* What the two sides share during a request. */
typedef struct request {
    request_kind kind;
    rpi_child_plan *plan; /* borrowed */
    rpi_made made;
} request;

struct rpi_private {
    const rp_allocator *allocator;
    pthread_t thread;
    int socket;       /* the lane's end */
    int start_socket; /* the thread's end in the host's table, until it has its own */
    rpi_maker maker;
    int pidfd; /* of the last child, in the thread's table */
    int64_t pid;
    bool abandoned;        /* the lane lost the last answer: written before it closes its end */
    atomic_uint handovers; /* see hand_over */
};

/* A request lies on the lane's stack, and only its address is sent. The message orders what either
 * side does with it; this says so to the compiler, and to sanitizers, which take the ends of the
 * socket for two things: one's number means another thing in the other's table. Done before each
 * message is sent and after each was received. */
static void hand_over(rpi_private *twin)
{
    (void)atomic_fetch_add_explicit(&twin->handovers, 1, memory_order_acq_rel);
}

/* Room for the descriptors of one message. */
typedef union control {
    char bytes[CMSG_SPACE(RPI_PRIVATE_MAX * sizeof(int))];
    struct cmsghdr alignment;
} control;

/* ---- messages ---- */

/* One message: the pointer or code in `word`, and descriptors. 0 or -errno. */
static int send_message(rpi_private *twin, int socket, uintptr_t word, const int *fds, size_t count)
{
    control rights;
    struct iovec content = {&word, sizeof word};
    struct msghdr message = {.msg_iov = &content, .msg_iovlen = 1};

    if (count > 0) {
        struct cmsghdr *header = &rights.alignment;

        message.msg_control = rights.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    hand_over(twin);
    for (;;) {
        if (rpi_os.sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/* Receives one message, at most `count_max` descriptors: how many came, -EPIPE at the end, -errno.
 */
static int
receive_message(rpi_private *twin, int socket, uintptr_t *ret_word, int *ret_fds, size_t count_max)
{
    control rights;
    struct iovec content = {ret_word, sizeof *ret_word};
    struct msghdr message = {.msg_iov = &content,
                             .msg_iovlen = 1,
                             .msg_control = rights.bytes,
                             .msg_controllen = CMSG_SPACE(count_max * sizeof(int))};
    struct cmsghdr *header = NULL;
    ssize_t size = 0;
    size_t count = 0;

    do {
        size = rpi_os.recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    hand_over(twin);
    if (size < 0 && errno != ECONNRESET) {
        return -errno;
    }
    if (size != (ssize_t)sizeof *ret_word) {
        return -EPIPE; // the other side has gone, with what was sent to it unread or not
    }
    header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret_fds, CMSG_DATA(header), count * sizeof(int));
    }
    return (int)count;
}

/* ---- the thread ---- */

/* Leaves the host's table: afterwards 0 to 2 and SOCKET are all there is. 0 or -errno; the socket
 * is usable in either case. */
static int leave_table(int *socket)
{
    int null = -1;
    int i;

    if (rpi_os.close_range((unsigned)*socket + 1, UINT_MAX, RPI_CLOSE_RANGE_UNSHARE) < 0) {
        return -errno; // still the host's table: nothing else may be touched
    }
    if (*socket != SOCKET && rpi_os.dup3(*socket, SOCKET, O_CLOEXEC) < 0) {
        return -errno;
    }
    *socket = SOCKET;
    if (rpi_os.close_range(SOCKET + 1, UINT_MAX, 0) < 0) {
        return -errno;
    }
    null = rpi_os.open("/dev/null", O_RDWR | O_CLOEXEC, 0);
    if (null < 0) {
        return -errno;
    }
    for (i = 0; i < SOCKET; i++) {
        if (i != null && rpi_os.dup3(null, i, O_CLOEXEC) < 0) {
            return -errno;
        }
    }
    if (null > SOCKET) {
        (void)rpi_os.close(null); // a duplicate
    }
    return 0;
}

/* The numbers in this table take the places of the host's. `received` is in the order of `kept`. */
static void translate(rpi_child_plan *plan, const int *sent, const int *received, size_t count)
{
    size_t i;
    size_t k;

    for (i = 0; i < plan->map_count; i++) {
        for (k = 0; k < count; k++) {
            if (sent[k] == plan->maps[i].source) {
                plan->maps[i].from = received[k];
                break;
            }
        }
    }
    rpi_plan_finish(plan, -1);
}

static void make_here(rpi_private *twin, request *work, const int *received, size_t count)
{
    rpi_child_plan *plan = work->plan;
    int sent[RPI_PRIVATE_MAX];
    size_t i;

    if (count != plan->kept_count) {
        work->made = (rpi_made){0, -1, -EAGAIN, RPI_PHASE_NONE}; // some did not arrive
        return;
    }
    memcpy(sent, plan->kept, count * sizeof(int));
    translate(plan, sent, received, count);
    rpi_make_child(&twin->maker, plan, &work->made);
    twin->pidfd = work->made.pidfd;
    twin->pid = work->made.pid;
    for (i = 0; i < plan->map_count; i++) {
        plan->maps[i].from = plan->maps[i].source;
    }
    rpi_plan_finish(plan, -1);
}

static void drop_last(rpi_private *twin)
{
    if (twin->pidfd >= 0) {
        (void)rpi_os.pidfd_send_signal(twin->pidfd, SIGKILL, 0); // it may have ended by itself
        rpi_reap_failed(twin->pid, twin->pidfd);
        twin->pidfd = -1;
    }
}

static void *private_main(void *argument)
{
    rpi_private *twin = argument;
    int received[RPI_PRIVATE_MAX];
    uintptr_t word = 0;
    int socket = twin->start_socket;
    int count = leave_table(&socket);

    if (send_message(twin, socket, (uintptr_t)(unsigned)-count, NULL, 0) < 0 || count < 0) {
        (void)shutdown(socket, SHUT_RDWR); // the lane must not wait; it closes the number
        return NULL;
    }
    for (;;) {
        request *work = NULL;
        int i;

        count = receive_message(twin, socket, &word, received, RPI_PRIVATE_MAX);
        if (count < 0) {
            if (twin->abandoned) {
                drop_last(twin);
            }
            break; // the lane closed its end
        }
        work = (request *)word;
        if (work->kind == REQUEST_DROP) {
            drop_last(twin);
        } else {
            if (twin->pidfd >= 0) {
                (void)rpi_os.close(twin->pidfd); // its result says nothing about a pidfd
                twin->pidfd = -1;
            }
            make_here(twin, work, received, (size_t)count);
        }
        for (i = 0; i < count; i++) {
            (void)rpi_os.close(received[i]); // duplicates
        }
        if (send_message(twin, socket, 0, &twin->pidfd, twin->pidfd >= 0 ? 1 : 0) < 0) {
            drop_last(twin);
            break;
        }
    }
    (void)rpi_os.close_range(0, UINT_MAX, 0); // the table goes with the thread anyway
    return NULL;
}

/* ---- the lane's side ---- */

int rpi_private_open(const rp_allocator *allocator, const rpi_maker *like, rpi_private **ret_twin)
{
    rpi_private *twin = rpi_alloc_zero(allocator, sizeof *twin);
    int ends[2] = {-1, -1};
    uintptr_t error = 0;
    int r = -ENOMEM;

    if (twin == NULL) {
        return r;
    }
    twin->allocator = allocator;
    twin->maker.method = like->method;
    twin->maker.has_close_range = like->has_close_range;
    twin->maker.signals_blocked = true;
    twin->pidfd = -1;
    if (rpi_os.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        r = -errno;
        goto fail;
    }
    twin->socket = ends[0];
    twin->start_socket = ends[1];
    if (ends[0] < SOCKET || ends[1] < SOCKET) {
        r = -EMFILE; // the host has closed standard streams: its table has room below, no need for
                     // us
        goto fail;
    }
    r = rpi_spawn_thread_start(private_main, twin, &twin->thread);
    if (r < 0) {
        goto fail;
    }
    r = receive_message(twin, ends[0], &error, NULL, 0);
    r = r < 0 ? r : -(int)error;
    if (r < 0) {
        (void)shutdown(ends[0], SHUT_RDWR); // it ends, if it has not: both sides are told
        (void)pthread_join(twin->thread, NULL);
        goto fail;
    }
    (void)rpi_os.close(ends[1]); // the thread has its own
    *ret_twin = twin;
    return 0;

fail:
    if (ends[0] >= 0) {
        (void)rpi_os.close(ends[0]);
        (void)rpi_os.close(ends[1]);
    }
    rpi_free(allocator, twin, sizeof *twin);
    return r;
}

void rpi_private_close(rpi_private *twin)
{
    if (twin != NULL) {
        (void)rpi_os.close(twin->socket); // the thread ends
        (void)pthread_join(twin->thread, NULL);
        rpi_maker_fini(&twin->maker);
        rpi_free(twin->allocator, twin, sizeof *twin);
    }
}

void rpi_private_close_forked(rpi_private *twin)
{
    if (twin != NULL) {
        (void)rpi_os.close(twin->socket); // a copy; the parent's thread keeps its own
        rpi_maker_fini(&twin->maker);
        rpi_free(twin->allocator, twin, sizeof *twin);
    }
}

/* The answer to the request was lost, and the two sides would not agree any more: the thread goes.
 * A child that it made goes with it. */
static void abandon(rpi_private *twin, int error, rpi_made *ret_made)
{
    twin->abandoned = true;
    hand_over(twin);
    rpi_private_close(twin);
    *ret_made = (rpi_made){0, -1, error, RPI_PHASE_CLONE};
}

/* The child was made, but the host's table had no room for its pidfd. */
static int drop_child(rpi_private *twin)
{
    request work = {.kind = REQUEST_DROP};
    uintptr_t word = 0;
    int none = -1;
    int r = send_message(twin, twin->socket, (uintptr_t)&work, NULL, 0);

    return r < 0 ? r : receive_message(twin, twin->socket, &word, &none, 0);
}

int rpi_private_make_child(rpi_private **twin, rpi_child_plan *plan, rpi_made *ret_made)
{
    request work = {.kind = REQUEST_MAKE, .plan = plan};
    uintptr_t word = 0;
    int spare = -1;
    int pidfd = -1;
    int r = 0;

    if (plan->kept_count == 0 || plan->kept_count > RPI_PRIVATE_MAX) {
        return -EAGAIN;
    }
    spare = rpi_os.fcntl(plan->kept[0], F_DUPFD_CLOEXEC, 3); // room for the pidfd
    if (spare < 0) {
        *ret_made = (rpi_made){0, -1, -errno, RPI_PHASE_CLONE};
        return 0;
    }
    r = send_message(*twin, (*twin)->socket, (uintptr_t)&work, plan->kept, plan->kept_count);
    (void)rpi_os.close(spare); // a duplicate
    if (r < 0) {
        return -EAGAIN;
    }
    r = receive_message(*twin, (*twin)->socket, &word, &pidfd, 1);
    if (r == 0 && work.made.error == 0) {
        r = drop_child(*twin);
        work.made = (rpi_made){0, -1, -EMFILE, RPI_PHASE_CLONE};
    }
    if (r < 0) {
        abandon(*twin, r, ret_made);
        *twin = NULL;
        return 0;
    }
    if (work.made.error == -EAGAIN && work.made.phase == RPI_PHASE_NONE) {
        return -EAGAIN;
    }
    work.made.pidfd = work.made.error == 0 ? pidfd : -1;
    *ret_made = work.made;
    return 0;
}
