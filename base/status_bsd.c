/* The errors of FreeBSD and macOS with the library's names and texts, for base/status.c. Each
 * number stands once: EWOULDBLOCK is EAGAIN, and where they are one, ENOTSUP is EOPNOTSUPP. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include "base/os.h"
#include "base/status_errors.h"

const rpi_error_text rpi_system_errors[] = {
    RPI_COMMON_ERRORS,
    RPI_ERROR(ENOTBLK, "block device required"),
    RPI_ERROR(EREMOTE, "object is remote"),
    RPI_ERROR(EMULTIHOP, "multihop attempted"),
    RPI_ERROR(EUSERS, "too many users"),
    RPI_ERROR(ESOCKTNOSUPPORT, "socket type not supported"),
    RPI_ERROR(EPFNOSUPPORT, "protocol family not supported"),
    RPI_ERROR(ESHUTDOWN, "cannot send after transport endpoint shutdown"),
    RPI_ERROR(ETOOMANYREFS, "too many references: cannot splice"),
    RPI_ERROR(EHOSTDOWN, "host is down"),
    RPI_ERROR(ESTALE, "stale file handle"),
    RPI_ERROR(EDQUOT, "disk quota exceeded"),
    RPI_ERROR(EPROCLIM, "too many processes"),
    RPI_ERROR(EFTYPE, "inappropriate file type or format"),
    RPI_ERROR(EAUTH, "authentication error"),
    RPI_ERROR(ENEEDAUTH, "need authenticator"),
    RPI_ERROR(EBADRPC, "bad remote procedure call"),
    RPI_ERROR(ENOATTR, "no such attribute"),
#ifdef RPI_OS_FREEBSD
    RPI_ERROR(ENOTCAPABLE, "capabilities insufficient"),
    RPI_ERROR(ECAPMODE, "not permitted in capability mode"),
    RPI_ERROR(EINTEGRITY, "integrity check failed"),
#else
    RPI_ERROR(ENOSTR, "device not a stream"),
    RPI_ERROR(ENODATA, "no data available"),
    RPI_ERROR(ETIME, "timer expired"),
    RPI_ERROR(ENOSR, "out of streams resources"),
    RPI_ERROR(ENOTSUP, "operation not supported"),
    RPI_ERROR(EBADEXEC, "bad executable"),
    RPI_ERROR(EBADARCH, "bad CPU type in executable"),
    RPI_ERROR(ESHLIBVERS, "shared library version mismatch"),
    RPI_ERROR(EBADMACHO, "malformed Mach-O file"),
    RPI_ERROR(ENOPOLICY, "no such policy"),
    RPI_ERROR(EQFULL, "interface output queue is full"),
#endif
};

const size_t rpi_system_error_count = sizeof rpi_system_errors / sizeof rpi_system_errors[0];
