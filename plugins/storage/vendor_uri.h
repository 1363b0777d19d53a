/* vendor://VENDOR/TYPE/PATH. */
#ifndef PLUGINS_STORAGE_VENDOR_URI_H
#define PLUGINS_STORAGE_VENDOR_URI_H

#include <stddef.h>
#include <string.h>

/* Whether URI (may be NULL) is one: three parts that are not empty, of which the last may have slashes. */
static inline int vendor_uri_is(const char *uri) {
  const char *vendor = uri && strncmp(uri, "vendor://", 9) == 0 ? uri + 9 : NULL;
  const char *type = vendor ? strchr(vendor, '/') : NULL, *path = type ? strchr(type + 1, '/') : NULL;

  return path && type > vendor && path > type + 1 && path[1];
}

#endif
