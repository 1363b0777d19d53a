/* plugins.conf: where plugins are, which are wanted, and how each is set up.  docs/plugin-guide.md describes the file.
 */
#ifndef HOST_PLUGIN_CONF_H
#define HOST_PLUGIN_CONF_H

#include "base/json.h"
#include "base/vec.h"

#include <stdbool.h>

struct conf_plugin {
  char *file;   /* absolute */
  char *sha256; /* NULL: not checked */
  bool required;
  struct json_object *settings; /* {"hf": {"endpoint": "..."}}; NULL: none */
};

struct conf {
  VEC(struct conf_plugin) plugins;
};

/* PATH NULL: every *.so of the folder beside the executable (../lib/ome/plugins), in name order. */
int32_t conf_load(const char *path, struct conf *out, struct ome_err *err);
void conf_fini(struct conf *c);

#endif
