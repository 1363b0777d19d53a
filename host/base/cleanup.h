/* Scope-owned resources: `_cleanup_free_ char *s = strdup(x);` frees s when its scope ends. */
#ifndef HOST_BASE_CLEANUP_H
#define HOST_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Defines FNp, the cleanup handler that calls FN on a non-NULL TYPE.  Handlers leave errno alone. */
#define DEFINE_CLEANUP(type, fn)                                                                                       \
  static inline void fn##p(type *p) {                                                                                  \
    if (*p) {                                                                                                          \
      int saved = errno;                                                                                               \
      fn(*p);                                                                                                          \
      errno = saved;                                                                                                   \
    }                                                                                                                  \
  }

static inline void freep(void *p) {
  free(*(void **)p);
}

static inline void closep(const int *fd) {
  if (*fd >= 0) {
    int saved = errno;
    (void)close(*fd);
    errno = saved;
  }
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

/* Hands ownership out of a scope: the variable becomes NULL. */
#define TAKE_PTR(p)                                                                                                    \
  __extension__({                                                                                                      \
    __typeof__(p) taken_ = (p);                                                                                        \
    (p) = NULL;                                                                                                        \
    taken_;                                                                                                            \
  })

#define TAKE_FD(fd)                                                                                                    \
  __extension__({                                                                                                      \
    int taken_ = (fd);                                                                                                 \
    (fd) = -1;                                                                                                         \
    taken_;                                                                                                            \
  })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* For unused parameters of callbacks. */
#define UNUSED __attribute__((unused))

#endif
