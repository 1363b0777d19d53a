/* ome-sdk/error.h - fill a struct ome_err in one line.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Header-only comfort, compiled into the plugin; no part of the ABI.  Any thread. */
#ifndef OME_SDK_ERROR_H
#define OME_SDK_ERROR_H

#include <ome/abi.h>
#include <stdarg.h>
#include <stdio.h>

#if defined(__GNUC__)
#define OME_SDK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args), unused))
#else
#define OME_SDK_PRINTF(fmt, args)
#endif

/* return ome_fail(err, OME_E_UNAVAILABLE, "hub %s: %s", host, why);
 * One sentence: what failed, on what, why, what to do.  Newlines and other control characters become spaces. */
static inline int32_t OME_SDK_PRINTF(3, 4) ome_fail(struct ome_err *err, int32_t code, const char *fmt, ...) {
  va_list ap;
  char *p;

  va_start(ap, fmt);
  (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
  va_end(ap);
  for (p = err->msg; *p; p++)
    if ((unsigned char)*p < 0x20)
      *p = ' ';
  err->code = code;
  err->retry_after_ms = 0;
  return code;
}

/* The same, with the time after which the host should try again. */
static inline int32_t ome_fail_retry(struct ome_err *err, int32_t code, uint32_t retry_after_ms, const char *msg) {
  int32_t rc = ome_fail(err, code, "%s", msg);

  err->retry_after_ms = retry_after_ms;
  return rc;
}

/* For a sink's answer: passes RC on unchanged and leaves a sentence where the sink left none. */
static inline int32_t ome_sink_failed(struct ome_err *err, int32_t rc) {
  return ome_fail(err, rc, "the receiver stopped the transfer");
}

/* Whether the caller wants this call to end; fills ERR then.  Ask at least every 100 ms of waiting or work. */
static inline int32_t ome_check_cancelled(const struct ome_call *call, struct ome_err *err) {
  if (call && OME_HAS(ome_call, call, cancelled) && call->cancelled(call))
    return ome_fail(err, OME_E_CANCELLED, "cancelled");
  return OME_OK;
}

#endif
