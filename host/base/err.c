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

/* What an errno is to callers, and to the person who must act. */
static const struct {
  int number;
  int32_t code;
  const char *advice;
} known[] = {
    {ENOENT, OME_E_NOT_FOUND, "; check the path"},
    {ENOTDIR, OME_E_NOT_FOUND, "; check the path"},
    {EEXIST, OME_E_EXISTS, ""},
    {EACCES, OME_E_DENIED, "; check its owner and permissions"},
    {EPERM, OME_E_DENIED, "; check its owner and permissions"},
    {EROFS, OME_E_DENIED, "; choose a place that is mounted for writing"},
    {ENOSPC, OME_E_NO_SPACE, "; free some space and try again"},
    {EDQUOT, OME_E_NO_SPACE, "; free some space or raise the quota, and try again"},
    {EIO, OME_E_INTERNAL, "; check the disk and its file system"},
    {ENOMEM, OME_E_NO_MEMORY, ""},
    {EBUSY, OME_E_BUSY, ""},
    {EAGAIN, OME_E_BUSY, ""},
    {EADDRINUSE, OME_E_BUSY, ""},
    {ETIMEDOUT, OME_E_DEADLINE, ""},
    {ECONNREFUSED, OME_E_UNAVAILABLE, ""},
    {ECONNRESET, OME_E_UNAVAILABLE, ""},
    {EPIPE, OME_E_UNAVAILABLE, ""},
    {EHOSTUNREACH, OME_E_UNAVAILABLE, ""},
    {ENETUNREACH, OME_E_UNAVAILABLE, ""},
    {EMFILE, OME_E_UNAVAILABLE, "; raise the limit of open files"},
    {ENFILE, OME_E_UNAVAILABLE, "; raise the limit of open files"},
    {EINVAL, OME_E_INVALID, ""},
    {ENAMETOOLONG, OME_E_INVALID, "; choose a shorter name"},
    {ELOOP, OME_E_INVALID, "; look where its links lead"},
};

int32_t fail_errno(struct ome_err *err, const char *what, const char *name) {
  int e = errno;
  char why[128];
  size_t i = 0;

  while (i < sizeof(known) / sizeof(known[0]) && known[i].number != e)
    i++;
  bool found = i < sizeof(known) / sizeof(known[0]);
  return fail(err, found ? known[i].code : OME_E_INTERNAL, "%s: %s: %s%s", what, name, strerror_r(e, why, sizeof(why)),
              found ? known[i].advice : "");
}

/* BETWEEN and TEXT behind what is said, cut with "...". */
static void append(struct ome_err *err, const char *between, const char *text) {
  size_t used = strlen(err->msg), room = sizeof(err->msg) - used;
  int n = snprintf(err->msg + used, room, "%s%s", between, text);

  if (room > 1 && n > 0 && (size_t)n >= room)
    memcpy(err->msg + sizeof(err->msg) - 4, "...", 4);
}

int32_t fail_prefix(struct ome_err *err, const char *fmt, ...) {
  char rest[sizeof(err->msg)];
  va_list ap;

  memcpy(rest, err->msg, sizeof(rest));
  va_start(ap, fmt);
  set_message(err, fmt, ap);
  va_end(ap);
  append(err, ": ", rest);
  return err->code;
}

int32_t err_advise(struct ome_err *err, const char *what_to_do) {
  if (!strstr(err->msg, "; "))
    append(err, "; ", what_to_do);
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
