/* Memory in unpleasant shapes, and the sinks and services of the kit. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POISON 0xA5
#define EXTRA 64u /* bytes by which a later host's structs are longer */

/* SIZE bytes that end where an unmapped page begins. */
static unsigned char *edge(size_t size, void **out_base, size_t *out_mapped) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t room = (size + page - 1) / page * page;
  size_t mapped = room + page;
  unsigned char *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0)
    _exit(111); /* the kit itself is out of memory: the parent sees no verdict */
  *out_base = base;
  *out_mapped = mapped;
  return base + room - size;
}

static unsigned char *take(struct run *r, size_t size) {
  if (r->nblocks == MAX_BLOCKS)
    _exit(111);
  unsigned char *p = edge(size, &r->blocks[r->nblocks].at, &r->blocks[r->nblocks].size);
  r->nblocks++;
  return p;
}

void *shape_struct(struct run *r, const void *from, size_t size) {
  size_t extra = r->probe->shape == SHAPE_LARGER ? EXTRA : 0;
  unsigned char *p = take(r, size + extra);
  uint32_t struct_size = (uint32_t)(size + extra);

  memcpy(p, from, size);
  memset(p + size, POISON, extra);
  memcpy(p, &struct_size, sizeof(struct_size));
  return p;
}

struct ome_list shape_list(struct run *r, const void *from, size_t size, uint32_t count) {
  uint32_t stride = (uint32_t)size + (r->probe->shape == SHAPE_LARGER ? EXTRA : 0);
  unsigned char *p = take(r, (size_t)stride * count);

  memset(p, POISON, (size_t)stride * count);
  for (uint32_t i = 0; i < count; i++) {
    memcpy(p + (size_t)i * stride, (const unsigned char *)from + i * size, size);
    memcpy(p + (size_t)i * stride, &stride, sizeof(stride));
  }
  return (struct ome_list){p, count, stride};
}

struct ome_bytes shape_bytes(struct run *r, const char *text) {
  size_t len = strlen(text);
  unsigned char *p = take(r, len ? len : 1);

  memcpy(p, text, len);
  return (struct ome_bytes){p, len};
}

int32_t run_pushed(struct run *r, const void *data, size_t len) {
  const unsigned char *p = data;

  if (r->probe->sink_rc != OME_OK && r->pushes > 0)
    r->pushes_after_failure++;
  r->pushes++;
  for (size_t i = 0; i < len; i++)
    r->digest = (r->digest ^ p[i]) * 0x100000001b3u; /* FNV-1a */
  r->digest = (r->digest ^ 0xffu) * 0x100000001b3u;
  return r->probe->sink_rc;
}

void run_method(struct run *r, const struct method *m, const struct subject *s, void *self, const struct probe *probe) {
  memset(r, 0, sizeof(*r));
  memset(&r->err, POISON, sizeof(r->err)); /* a callee that does not fill it is found out */
  r->subject = s;
  r->self = self;
  r->probe = probe;
  r->digest = 0xcbf29ce484222325u;
  m->call(r);
  for (size_t i = 0; i < r->nblocks; i++)
    (void)munmap(r->blocks[i].at, r->blocks[i].size);
}

/* ---- the host --------------------------------------------------------------------------------------------------- */

static void host_log(const struct ome_host *host, int32_t level, const char *topic, const char *msg) {
  (void)host, (void)level, (void)topic, (void)msg;
}

/* Whatever is asked for, the answer is a 200 with something that is not it. */
static int32_t http_perform(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                            struct ome_http_sink *out, struct ome_err *err) {
  static const struct ome_kv headers[] = {{"content-type", "application/json"}, {"content-length", "18"}};
  static const char body[] = "{\"unexpected\": [{}";

  (void)host, (void)req;
  if (call && OME_HAS(ome_call, call, cancelled) && call->cancelled(call)) {
    *err = (struct ome_err){OME_E_CANCELLED, 0, "cancelled"};
    return OME_E_CANCELLED;
  }
  if (call && call->deadline_ns == 1) {
    *err = (struct ome_err){OME_E_DEADLINE, 0, "took too long"};
    return OME_E_DEADLINE;
  }
  int32_t rc = out->head ? out->head(out, 200, headers, COUNT(headers)) : OME_OK;
  if (rc == OME_OK && out->body)
    rc = out->body(out, body, sizeof(body) - 1);
  if (rc != OME_OK)
    *err = (struct ome_err){rc, 0, "the receiver ended the transfer"};
  return rc;
}

static const void *host_service(const struct ome_host *host, const char *id) {
  static const struct ome_http_service http = {.struct_size = sizeof(http), .perform = http_perform};

  (void)host;
  return strcmp(id, OME_SERVICE_HTTP) == 0 ? &http : NULL;
}

const struct ome_host *conform_host(void) {
  static struct ome_host *made; /* a child has one thread when it makes this */
  void *base;
  size_t mapped;

  if (!made) {
    struct ome_host host = {.struct_size = UP_TO(ome_host, service), .log = host_log, .service = host_service};
    unsigned char *p = edge(UP_TO(ome_host, service), &base, &mapped);
    memcpy(p, &host, UP_TO(ome_host, service));
    made = (void *)p;
  }
  return made;
}
