/* Services that look at more than the model they name: further models, claims.  Caches have one index a kind, and these
 * are few, so that they are kept by name. */
#include "base/str.h"
#include "controller/internal.h"

#include <string.h>

void further_note(struct controller *c, const char *ns, const char *name, bool looks) {
  _cleanup_free_ char *key = str_printf("%s/%s", ns, name);

  (void)pthread_mutex_lock(&c->further.lock);
  if (key && looks && !c->further.names)
    c->further.names = strmap_new(NULL);
  if (key && looks && c->further.names)
    (void)strmap_put(c->further.names, key, NULL);
  else if (key && c->further.names)
    (void)strmap_del(c->further.names, key);
  (void)pthread_mutex_unlock(&c->further.lock);
}

void further_requeue(struct controller *c, const char *ns) {
  (void)pthread_mutex_lock(&c->further.lock);
  if (c->further.names) {
    for (struct strmap_iter it = strmap_first(c->further.names); it.key; strmap_next(&it)) {
      const char *slash = strchr(it.key, '/');
      _cleanup_free_ char *own = str_copy(it.key, (size_t)(slash - it.key));
      if (own && (!ns || streq(own, ns)))
        enqueue(c, QUEUE_SERVICES, own, slash + 1);
    }
  }
  (void)pthread_mutex_unlock(&c->further.lock);
}
