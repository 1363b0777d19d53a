/* Writes many objects as fast as a bare client can: what the controller's rate is compared with, and how a benchmark
 * fills its server.
 *
 * usage: bulk KUBECONFIG THREADS create|apply|status FILE    (FILE: one JSON object a line) */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "os/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 30)
#define THREADS_MAX 64

struct bulk {
  struct kube_client *client;
  const char *how;
  char **lines;
  size_t n;
  atomic_size_t next;
  atomic_int failed;
};

static int32_t write_one(struct bulk *b, const char *line, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  const struct kube_resource *r = NULL;
  int32_t rc = json_parse(line, strlen(line), 0, &o, err);

  if (rc == OME_OK)
    rc = kube_discover(b->client, json_str(o, "apiVersion", ""), json_str(o, "kind", ""), &r, err);
  if (rc != OME_OK)
    return rc;
  if (streq(b->how, "create"))
    return kube_create(b->client, r, o, NULL, err);
  if (streq(b->how, "status"))
    return kube_patch(b->client, r, meta_namespace(o), meta_name(o), "status", KUBE_PATCH_MERGE, o, NULL, err);
  return kube_apply(b->client, r, o, NULL, "bulk", true, NULL, err);
}

static void *work(void *arg) {
  struct bulk *b = arg;

  for (size_t i; (i = atomic_fetch_add(&b->next, 1)) < b->n;) {
    struct ome_err err = ERR_INIT;
    if (!*b->lines[i] || write_one(b, b->lines[i], &err) == OME_OK)
      continue;
    fprintf(stderr, "line %zu: %s\n", i + 1, err.msg);
    atomic_store(&b->failed, 1);
  }
  return NULL;
}

int main(int argc, char **argv) {
  struct bulk b = {0};
  struct ome_err err = ERR_INIT;
  pthread_t threads[THREADS_MAX];
  _cleanup_free_ char *text = NULL;
  size_t len;

  if (argc != 5)
    return 2;
  size_t n = strtoul(argv[2], NULL, 10);
  b.how = argv[3];
  if (kube_client_new(argv[1], NULL, &b.client, &err) != OME_OK ||
      file_read(argv[4], FILE_MAX, &text, &len, &err) != OME_OK) {
    fprintf(stderr, "%s\n", err.msg);
    return 1;
  }
  b.lines = str_split(text, '\n');
  while (b.lines && b.lines[b.n])
    b.n++;
  uint64_t began = mono_ns();
  for (size_t i = 0; i < n && i < THREADS_MAX; i++)
    if (pthread_create(&threads[i], NULL, work, &b) != 0)
      return 1;
  for (size_t i = 0; i < n && i < THREADS_MAX; i++)
    (void)pthread_join(threads[i], NULL);
  printf("%.3f\n", (double)(mono_ns() - began) / 1e9);
  free(b.lines);
  kube_client_free(b.client);
  return atomic_load(&b.failed);
}
