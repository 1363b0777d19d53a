/* What autoscaler and ingress plugins read of services and configuration: templates, paths, domains, queries, triggers.
 * The input is one JSON object with the four documents of a request. */
#include "../../plugins/autoscaler/triggers.h"
#include "../../plugins/ingress/site.h"

#include <stdlib.h>
#include <string.h>

static void read_site(const struct request_docs *d) {
  struct json_object *hosts = json_object_new_array();
  const char *name = NULL;
  struct ome_err err = {0};
  char path[SITE_PATH_MAX];
  char ns[64];
  int64_t limit = 0;

  if (site_hosts(d, doc_str(d->service, "metadata.name", ""), hosts, &err) == OME_OK)
    for (size_t i = 0; i < doc_len(hosts); i++)
      if (!domain_is_host(json_object_get_string(doc_item(hosts, i))))
        abort();
  if (site_path(d, path, &err) == OME_OK && *path && (path[0] != '/' || strstr(path, "//") || strstr(path, "/..")))
    abort();
  if (site_reference(d, "omeIngressGateway", "ome.io/ingress-gateway", ns, sizeof(ns), &name, &err) == OME_OK &&
      (!*ns || !*name || strchr(name, '/')))
    abort();
  if (site_rate_limit(d, &limit, &err) == OME_OK && (limit < 0 || limit > 1000000))
    abort();
  json_object_put(site_annotations(d));
  json_object_put(hosts);
}

static void read_triggers(const struct request_docs *d) {
  struct json_object *list = json_object_new_array();
  struct ome_err err = {0};

  (void)triggers_older(d, list, &err);
  (void)triggers_given(d, list, &err);
  for (size_t i = 0; i < doc_len(list); i++)
    if (!*doc_str(doc_item(list, i), "type", ""))
      abort();
  json_object_put(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct json_object *all = NULL;
  struct ome_err err = {0};

  if (doc_parse((struct ome_bytes){data, size}, &all, &err) == OME_OK) {
    const struct request_docs d = {doc_get(all, "service"), doc_get(all, "component"), doc_get(all, "components"),
                                   doc_get(all, "cluster")};
    read_site(&d);
    read_triggers(&d);
  }
  json_object_put(all);
  return 0;
}
