#include "base/err.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 0))) set_message(struct ome_err *err, const char *fmt, va_list ap) {
  int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
  if (n < 0)
    err->msg[0] = '\0';
  else if ((size_t)n >= sizeof(err->msg))
    memcpy(err->msg + sizeof(err->msg) - 4, "...", 4);
  for (char *p = err->msg; *p; p++)
    if (*p == '\n' || *p == '\r')
      *p = ' ';
}

int32_t fail(struct ome_err *err, int32_t code, const char *fmt, ...) {
  va_list ap;

  err->code = code;
  err->retry_after_ms = 0;
  va_start(ap, fmt);
  set_message(err, fmt, ap);
  va_end(ap);
  return code;
}

static int32_t code_of_errno(int e) {
  switch (e) {
  case ENOENT:
  case ENOTDIR:
    return OME_E_NOT_FOUND;
  case EEXIST:
    return OME_E_EXISTS;
  case EACCES:
  case EPERM:
  case EROFS:
    return OME_E_DENIED;
  case ENOSPC:
  case EDQUOT:
    return OME_E_NO_SPACE;
  case ENOMEM:
    return OME_E_NO_MEMORY;
  case EBUSY:
  case EAGAIN:
  case EADDRINUSE:
    return OME_E_BUSY;
  case ETIMEDOUT:
    return OME_E_DEADLINE;
  case ECONNREFUSED:
  case ECONNRESET:
  case EPIPE:
  case EHOSTUNREACH:
  case ENETUNREACH:
  case EMFILE:
  case ENFILE:
    return OME_E_UNAVAILABLE;
  case EINVAL:
  case ENAMETOOLONG:
  case ELOOP:
    return OME_E_INVALID;
  default:
    return OME_E_INTERNAL;
  }
}

int32_t fail_errno(struct ome_err *err, const char *what, const char *name) {
  int e = errno;
  char why[128];

  return fail(err, code_of_errno(e), "%s: %s: %s", what, name, strerror_r(e, why, sizeof(why)));
}

int32_t fail_prefix(struct ome_err *err, const char *fmt, ...) {
  char rest[sizeof(err->msg)];
  va_list ap;

  memcpy(rest, err->msg, sizeof(rest));
  va_start(ap, fmt);
  set_message(err, fmt, ap);
  va_end(ap);
  size_t used = strlen(err->msg);
  if (used < sizeof(err->msg) - 1) {
    int n = snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", rest);
    if (n > 0 && (size_t)n >= sizeof(err->msg) - used)
      memcpy(err->msg + sizeof(err->msg) - 4, "...", 4);
  }
  return err->code;
}

int32_t fail_memory(struct ome_err *err) {
  return fail(err, OME_E_NO_MEMORY, "out of memory");
}

void err_clear(struct ome_err *err) {
  memset(err, 0, sizeof(*err));
}

bool err_retryable(int32_t code) {
  return code == OME_E_BUSY || code == OME_E_UNAVAILABLE || code == OME_E_DEADLINE || code == OME_E_CONFLICT ||
         code == OME_E_NO_SPACE || code == OME_E_NO_MEMORY;
}

const char *err_name(int32_t code) {
  static const char *const names[] = {
      "Ok",        "Invalid", "NotFound", "Exists",  "Denied",   "Busy",        "Unavailable", "Deadline",
      "Cancelled", "NoSpace", "NoMemory", "Corrupt", "Conflict", "Unsupported", "Internal",    "Gated",
  };
  int32_t i = -code;

  return i >= 0 && (size_t)i < ARRAY_LEN(names) ? names[i] : "Unknown";
}
