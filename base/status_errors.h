/* The errors that every system has, with the library's names and texts, and how each is written.
 * Only for status_<system>.c, which add what their system has beside these. */
#ifndef RPI_BASE_STATUS_ERRORS_H
#define RPI_BASE_STATUS_ERRORS_H

#include <errno.h>

#include "base/status.h"

#define RPI_ERROR(name, text)                                                                      \
    {                                                                                              \
        -(name), "RP_" #name, text                                                                 \
    }

// clang-format off
#define RPI_COMMON_ERRORS \
    RPI_ERROR(EPERM, "operation not permitted"), \
    RPI_ERROR(ENOENT, "no such file or directory"), \
    RPI_ERROR(ESRCH, "no such process"), \
    RPI_ERROR(EINTR, "interrupted system call"), \
    RPI_ERROR(EIO, "input/output error"), \
    RPI_ERROR(ENXIO, "no such device or address"), \
    RPI_ERROR(E2BIG, "argument list too long"), \
    RPI_ERROR(ENOEXEC, "exec format error"), \
    RPI_ERROR(EBADF, "bad file descriptor"), \
    RPI_ERROR(ECHILD, "no child processes"), \
    RPI_ERROR(EAGAIN, "resource temporarily unavailable"), \
    RPI_ERROR(ENOMEM, "cannot allocate memory"), \
    RPI_ERROR(EACCES, "permission denied"), \
    RPI_ERROR(EFAULT, "bad address"), \
    RPI_ERROR(EBUSY, "device or resource busy"), \
    RPI_ERROR(EEXIST, "file exists"), \
    RPI_ERROR(EXDEV, "invalid cross-device link"), \
    RPI_ERROR(ENODEV, "no such device"), \
    RPI_ERROR(ENOTDIR, "not a directory"), \
    RPI_ERROR(EISDIR, "is a directory"), \
    RPI_ERROR(EINVAL, "invalid argument"), \
    RPI_ERROR(ENFILE, "too many open files in system"), \
    RPI_ERROR(EMFILE, "too many open files"), \
    RPI_ERROR(ENOTTY, "inappropriate ioctl for device"), \
    RPI_ERROR(ETXTBSY, "text file busy"), \
    RPI_ERROR(EFBIG, "file too large"), \
    RPI_ERROR(ENOSPC, "no space left on device"), \
    RPI_ERROR(ESPIPE, "illegal seek"), \
    RPI_ERROR(EROFS, "read-only file system"), \
    RPI_ERROR(EMLINK, "too many links"), \
    RPI_ERROR(EPIPE, "broken pipe"), \
    RPI_ERROR(EDOM, "numerical argument out of domain"), \
    RPI_ERROR(ERANGE, "numerical result out of range"), \
    RPI_ERROR(EDEADLK, "resource deadlock avoided"), \
    RPI_ERROR(ENAMETOOLONG, "file name too long"), \
    RPI_ERROR(ENOLCK, "no locks available"), \
    RPI_ERROR(ENOSYS, "function not implemented"), \
    RPI_ERROR(ENOTEMPTY, "directory not empty"), \
    RPI_ERROR(ELOOP, "too many levels of symbolic links"), \
    RPI_ERROR(ENOMSG, "no message of desired type"), \
    RPI_ERROR(EIDRM, "identifier removed"), \
    RPI_ERROR(ENOLINK, "link has been severed"), \
    RPI_ERROR(EPROTO, "protocol error"), \
    RPI_ERROR(EBADMSG, "bad message"), \
    RPI_ERROR(EOVERFLOW, "value too large for defined data type"), \
    RPI_ERROR(EILSEQ, "invalid or incomplete multibyte or wide character"), \
    RPI_ERROR(ENOTSOCK, "socket operation on non-socket"), \
    RPI_ERROR(EDESTADDRREQ, "destination address required"), \
    RPI_ERROR(EMSGSIZE, "message too long"), \
    RPI_ERROR(EPROTOTYPE, "protocol wrong type for socket"), \
    RPI_ERROR(ENOPROTOOPT, "protocol not available"), \
    RPI_ERROR(EPROTONOSUPPORT, "protocol not supported"), \
    RPI_ERROR(EOPNOTSUPP, "operation not supported"), \
    RPI_ERROR(EAFNOSUPPORT, "address family not supported by protocol"), \
    RPI_ERROR(EADDRINUSE, "address already in use"), \
    RPI_ERROR(EADDRNOTAVAIL, "cannot assign requested address"), \
    RPI_ERROR(ENETDOWN, "network is down"), \
    RPI_ERROR(ENETUNREACH, "network is unreachable"), \
    RPI_ERROR(ENETRESET, "network dropped connection on reset"), \
    RPI_ERROR(ECONNABORTED, "software caused connection abort"), \
    RPI_ERROR(ECONNRESET, "connection reset by peer"), \
    RPI_ERROR(ENOBUFS, "no buffer space available"), \
    RPI_ERROR(EISCONN, "transport endpoint is already connected"), \
    RPI_ERROR(ENOTCONN, "transport endpoint is not connected"), \
    RPI_ERROR(ETIMEDOUT, "timed out"), \
    RPI_ERROR(ECONNREFUSED, "connection refused"), \
    RPI_ERROR(EHOSTUNREACH, "no route to host"), \
    RPI_ERROR(EALREADY, "operation already in progress"), \
    RPI_ERROR(EINPROGRESS, "operation now in progress"), \
    RPI_ERROR(ECANCELED, "operation canceled"), \
    RPI_ERROR(EOWNERDEAD, "owner died"), \
    RPI_ERROR(ENOTRECOVERABLE, "state not recoverable")
// clang-format on

#endif
