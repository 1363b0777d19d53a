/* storage "vendor": models that stay at their vendor and have no files (OME's vendor://VENDOR/TYPE/PATH).
 *
 * A vendor's own plugin, which knows how to get some, matches its addresses better. */
#include "../common/storage.h"
#include "vendor_uri.h"

#include <ome-sdk/error.h>

#include <string.h>

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "vendor://", 9) == 0 ? 1 : 0;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  (void)self, (void)out;
  if (!vendor_uri_is(ref->uri))
    return ome_fail(err, OME_E_INVALID, "vendor: \"%.200s\" is not vendor://VENDOR/TYPE/PATH",
                    ref->uri ? ref->uri : "");
  return ome_check_cancelled(call, err);
}

STORAGE_SCHEMES("vendor://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .caps = OME_STORAGE_NO_FILES, .match = match, .list = list, .schemes = schemes};

STORAGE_PLUGIN("vendor", "Models that stay at their vendor and have no files (vendor://)", NULL, NULL, NULL);
