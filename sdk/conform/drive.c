/* One call of each method of each kind, with arguments in the shape that the probe asks for. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

/* ---- what every call has ---------------------------------------------------------------------------------------- */

static int32_t never_cancelled(const struct ome_call *call) {
  (void)call;
  return 0;
}

static int32_t always_cancelled(const struct ome_call *call) {
  (void)call;
  return 1;
}

static const struct ome_call *make_call(struct run *r) {
  struct ome_call call = {.deadline_ns = r->probe->deadline_ns,
                          .trace_id = "conform",
                          .cancelled = r->probe->cancelled ? always_cancelled : never_cancelled};

  return shape_struct(r, &call, UP_TO(ome_call, cancelled));
}

/* The host's own copy of a table: what the plugin does not have stays NULL. */
#define ADOPT(type, out, r)                                                                                            \
  do {                                                                                                                 \
    const void *ops_ = (r)->subject->factory->ops;                                                                     \
    uint32_t size_;                                                                                                    \
    memset((out), 0, sizeof(*(out)));                                                                                  \
    memcpy(&size_, ops_, sizeof(size_));                                                                               \
    memcpy((out), ops_, size_ < sizeof(*(out)) ? size_ : sizeof(*(out)));                                              \
  } while (0)

/* Leaves the caller when the method is not there. */
#define NEED(r, fn)                                                                                                    \
  do {                                                                                                                 \
    if (!(fn)) {                                                                                                       \
      (r)->absent = true;                                                                                              \
      return;                                                                                                          \
    }                                                                                                                  \
  } while (0)

/* ---- storage ---------------------------------------------------------------------------------------------------- */

static int32_t push_text(struct run *r, const char *a, const char *b) {
  char text[1024];
  int n = snprintf(text, sizeof(text), "%s\n%s", a ? a : "", b ? b : "");

  return run_pushed(r, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static int32_t on_revision(struct ome_file_sink *s, const char *revision) {
  return push_text(s->ctx, "revision", revision);
}

static int32_t on_file(struct ome_file_sink *s, const struct ome_model_file *f) {
  return push_text(s->ctx, f->path, f->digest);
}

static int32_t on_kv(struct ome_kv_sink *s, const char *key, const char *value) {
  return push_text(s->ctx, key, value);
}

static int32_t on_bytes(struct ome_byte_sink *s, const void *data, uint64_t len) {
  return run_pushed(s->ctx, data, (size_t)len);
}

static const char *uri_of(const struct run *r, char *out, size_t size) {
  if (r->probe->garbage)
    return "://\x01../..";
  if (r->subject->uri)
    return r->subject->uri;
  (void)snprintf(out, size, "%s://conform/model", r->subject->factory->name);
  return out;
}

static const struct ome_model_ref *make_ref(struct run *r, const char *uri) {
  static const struct ome_kv params[] = {{"token", "conform"}};
  struct ome_model_ref ref = {.uri = uri, .params = params, .nparams = COUNT(params)};

  return shape_struct(r, &ref, UP_TO(ome_model_ref, nparams));
}

static const struct ome_model_file *make_file(struct run *r) {
  struct ome_model_file f = {.path = "config.json", .size = 64, .url = "http://127.0.0.1/conform"};

  return shape_struct(r, &f, UP_TO(ome_model_file, reserved));
}

static void storage_match(struct run *r) {
  struct ome_storage_ops ops;
  char uri[128];

  ADOPT(ome_storage_ops, &ops, r);
  NEED(r, ops.match);
  r->rc = ops.match(r->self, uri_of(r, uri, sizeof(uri)));
  (void)run_pushed(r, &r->rc, sizeof(r->rc));
}

static void storage_list(struct run *r) {
  struct ome_file_sink sink = {.ctx = r, .revision = on_revision, .file = on_file};
  struct ome_storage_ops ops;
  char uri[128];

  ADOPT(ome_storage_ops, &ops, r);
  NEED(r, ops.list);
  r->rc = ops.list(r->self, make_call(r), make_ref(r, uri_of(r, uri, sizeof(uri))),
                   shape_struct(r, &sink, UP_TO(ome_file_sink, file)), &r->err);
}

static void storage_headers(struct run *r) {
  struct ome_kv_sink sink = {.ctx = r, .kv = on_kv};
  struct ome_storage_ops ops;
  char uri[128];

  ADOPT(ome_storage_ops, &ops, r);
  NEED(r, ops.headers);
  r->rc = ops.headers(r->self, make_call(r), make_ref(r, uri_of(r, uri, sizeof(uri))), make_file(r),
                      shape_struct(r, &sink, UP_TO(ome_kv_sink, kv)), &r->err);
}

static void storage_read(struct run *r) {
  struct ome_byte_sink sink = {.ctx = r, .write = on_bytes};
  struct ome_storage_ops ops;
  char uri[128];

  ADOPT(ome_storage_ops, &ops, r);
  NEED(r, ops.read);
  r->rc = ops.read(r->self, make_call(r), make_ref(r, uri_of(r, uri, sizeof(uri))), make_file(r), 0, 64,
                   shape_struct(r, &sink, UP_TO(ome_byte_sink, write)), &r->err);
}

#define UPLOAD_BYTES 64u

/* What stops the host's side of an upload: a failing sink, a cancelled call. */
static int32_t stop_upload(const struct run *r, struct ome_err *err) {
  int32_t rc = r->probe->sink_rc ? r->probe->sink_rc : r->probe->cancelled ? OME_E_CANCELLED : OME_OK;

  if (rc != OME_OK)
    *err = (struct ome_err){rc, 0, "the upload was stopped"};
  return rc;
}

/* Whatever is sent, the answer fits none of it. */
static int32_t on_send(struct ome_uploader *u, const struct ome_list *requests,
                       int32_t (*answer)(void *arg, uint32_t index, const struct ome_upload_answer *a), void *arg,
                       struct ome_err *err) {
  static const struct ome_kv headers[] = {{"content-type", "application/json"}};
  const struct ome_upload_answer a = {.struct_size = UP_TO(ome_upload_answer, body),
                                      .status = 418,
                                      .headers = headers,
                                      .nheaders = COUNT(headers),
                                      .body = {"{\"unexpected\": [{}", 18}};
  int32_t rc = stop_upload(u->ctx, err);

  for (uint32_t i = 0; rc == OME_OK && answer && i < requests->count; i++)
    rc = answer(arg, i, &a);
  return rc;
}

static int32_t on_read(struct ome_uploader *u, uint64_t offset, uint64_t len, void *to, struct ome_err *err) {
  if (offset > UPLOAD_BYTES || len > UPLOAD_BYTES - offset) {
    *err = (struct ome_err){OME_E_INVALID, 0, "bytes beyond the file's end are asked for"};
    return OME_E_INVALID;
  }
  memset(to, 0, (size_t)len);
  return stop_upload(u->ctx, err);
}

/* Never to the address that the caller gave: uploads change what is there.  Plugins that write to this machine do it
 * below the child's own folder. */
static void storage_upload(struct run *r) {
  static const struct ome_upload_file file = {.path = "conform/config.json",
                                              .size = UPLOAD_BYTES, /* of zeros */
                                              .sha256 =
                                                  "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
                                              .md5 = "3b5d3c7d207e37dceeedd301e35e2e58"};
  const struct ome_uploader to = {.ctx = r, .send = on_send, .read = on_read};
  struct ome_storage_ops ops;
  char uri[128];

  ADOPT(ome_storage_ops, &ops, r);
  NEED(r, ops.upload);
  const char *const *schemes = ops.schemes ? ops.schemes(r->self) : NULL;
  (void)snprintf(uri, sizeof(uri), "%.40s%sconform/model", schemes ? schemes[0] : r->subject->factory->name,
                 schemes ? "" : "://");
  r->rc = ops.upload(r->self, make_call(r), make_ref(r, r->probe->garbage ? "://\x01../.." : uri),
                     shape_struct(r, &file, UP_TO(ome_upload_file, md5)),
                     shape_struct(r, &to, UP_TO(ome_uploader, read)), &r->err);
}

/* "acme://", and match() knows each. */
void check_schemes(struct subject *s, struct verdict *v) {
  struct run r = {.subject = s};
  struct ome_storage_ops ops;
  char uri[128];

  if (strcmp(s->factory->kind, OME_KIND_STORAGE) != 0) {
    verdict_skip(v, "it stores nothing");
    return;
  }
  ADOPT(ome_storage_ops, &ops, &r);
  if (!ops.schemes) {
    verdict_skip(v, "it does not have schemes(), which is new in ABI 1.1");
    return;
  }
  void *self;
  if (!subject_make(s, &self, v))
    return;
  const char *const *schemes = ops.schemes(self);
  if (!schemes || !schemes[0])
    verdict_fail(v, "schemes() names none");
  for (size_t i = 0; schemes && schemes[i]; i++) {
    size_t n = strlen(schemes[i]);
    (void)snprintf(uri, sizeof(uri), "%.100sconform/model", schemes[i]);
    if (n < 4 || n > 40 || strcmp(schemes[i] + n - 3, "://") != 0)
      verdict_fail(v, "schemes() names \"%.60s\", which is not of the form acme://", schemes[i]);
    else if (ops.match && ops.match(self, uri) <= 0)
      verdict_fail(v, "schemes() names %s and match() does not know %s", schemes[i], uri);
  }
  subject_unmake(s, self);
}

/* ---- deployment, autoscaler, ingress ---------------------------------------------------------------------------- */

static int32_t on_object(struct ome_object_sink *s, struct ome_bytes json) {
  return run_pushed(s->ctx, json.ptr, (size_t)json.len);
}

static const struct ome_render_req *make_render_req(struct run *r) {
  static const char *const garbage[] = {"{\"metadata\":", "[[[[", "{}", "\xff\xfe"};
  bool bad = r->probe->garbage;
  struct ome_render_req req = {
      .service = shape_bytes(r, bad ? garbage[0] : conform_service),
      .component = shape_bytes(r, bad ? garbage[1] : conform_component),
      .components = shape_bytes(r, bad ? garbage[2] : conform_components),
      .cluster = shape_bytes(r, bad ? garbage[3] : conform_cluster),
  };

  return shape_struct(r, &req, UP_TO(ome_render_req, cluster));
}

static struct ome_object_sink *make_object_sink(struct run *r) {
  struct ome_object_sink sink = {.ctx = r, .object = on_object};

  return shape_struct(r, &sink, UP_TO(ome_object_sink, object));
}

static void render_render(struct run *r) {
  struct ome_render_ops ops;

  ADOPT(ome_render_ops, &ops, r);
  NEED(r, ops.render);
  r->rc = ops.render(r->self, make_call(r), make_render_req(r), make_object_sink(r), &r->err);
}

/* What is not asked for by a host of ABI 1.0 makes no difference between two answers. */
static int32_t on_address(struct ome_object_sink *s, struct ome_bytes json) {
  (void)s;
  return json.len > 2 && *(const char *)json.ptr == '{' ? OME_OK : OME_E_INVALID;
}

static void render_observe(struct run *r) {
  struct ome_object_sink addresses = {.struct_size = sizeof(addresses), .ctx = r, .object = on_address};
  struct ome_status zero = {.phase = OME_PHASE_PENDING, .addresses = &addresses};
  size_t size = r->probe->shape == SHAPE_LARGER ? UP_TO(ome_status, addresses) : UP_TO(ome_status, url);
  struct ome_render_ops ops;

  ADOPT(ome_render_ops, &ops, r);
  NEED(r, ops.observe);
  struct ome_status *status = shape_struct(r, &zero, size);
  r->rc = ops.observe(r->self, make_call(r), make_render_req(r), shape_bytes(r, r->probe->garbage ? "[" : "[null]"),
                      status, &r->err);
  if (r->rc == OME_OK) {
    r->digest ^= (uint64_t)status->phase + 1;
    bool ended = memchr(status->reason, 0, sizeof(status->reason)) && memchr(status->url, 0, sizeof(status->url)) &&
                 memchr(status->message, 0, sizeof(status->message));
    if (!ended || status->phase < OME_PHASE_PENDING || status->phase > OME_PHASE_FAILED)
      r->rc = 1; /* no code a plugin may return: the checks report it */
  }
}

static void render_needs(struct run *r) {
  struct ome_render_ops ops;

  ADOPT(ome_render_ops, &ops, r);
  NEED(r, ops.needs);
  r->rc = ops.needs(r->self, make_render_req(r), make_object_sink(r), &r->err);
}

/* ---- scorer ----------------------------------------------------------------------------------------------------- */

static int32_t on_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  char text[32];

  (void)snprintf(text, sizeof(text), "%lld", (long long)points);
  return push_text(s->ctx, text, reason);
}

static int32_t on_reject(struct ome_term_sink *s, const char *reason) {
  return push_text(s->ctx, "reject", reason);
}

static int32_t on_setting(struct ome_setting_sink *s, const char *name, const char *value, const char *reason) {
  (void)reason;
  return push_text(s->ctx, name, value);
}

static int32_t on_unfit(struct ome_setting_sink *s, const char *reason) {
  return push_text(s->ctx, "unfit", reason);
}

static const struct ome_model_facts *make_model(struct run *r) {
  static const char *const capabilities[] = {"TEXT_TO_TEXT", NULL};
  static const struct ome_kv pipeline[] = {{"className", "ConformPipeline"}, {"vae", ""}, {NULL, NULL}};
  struct ome_model_facts m = {.name = "conform",
                              .type = "llama",
                              .architecture = "LlamaForCausalLM",
                              .format = "safetensors",
                              .format_version = "1.0.0",
                              .framework = "transformers",
                              .framework_version = "4.40.0",
                              .quantization = "",
                              .dtype = "bfloat16",
                              .capabilities = capabilities,
                              .parameters = 1000000000,
                              .weight_bytes = 2000000000,
                              .context_length = 8192,
                              .pipeline = pipeline};

  if (r->probe->garbage)
    m.format_version = m.framework_version = m.architecture = m.quantization = "\xff..1.-9999999999999999999999";
  return shape_struct(r, &m, UP_TO(ome_model_facts, pipeline));
}

static const struct ome_runtime_facts *make_runtime(struct run *r) {
  static const char *const protocols[] = {"openAI", NULL};
  const struct ome_supported_format formats[] = {
      {.flags = OME_FORMAT_AUTO_SELECT,
       .format = "safetensors",
       .format_version = "1.0.0",
       .format_operator = "Equal",
       .format_weight = 1,
       .framework = "transformers",
       .framework_version = "4.36.0",
       .framework_operator = "GreaterThanOrEqual",
       .framework_weight = 1,
       .architecture = "LlamaForCausalLM",
       .quantization = "",
       .priority = 1},
      {.flags = 0,
       .format = "gguf",
       .format_version = "",
       .format_operator = "",
       .framework = "",
       .framework_version = "",
       .framework_operator = "",
       .architecture = "",
       .quantization = ""},
  };
  static const char *const accelerators[] = {"conform", NULL};
  struct ome_runtime_facts f = {.name = "conform",
                                .protocols = protocols,
                                .size_max = 5000000000,
                                .accelerators = accelerators,
                                .components = OME_COMPONENT_ENGINE,
                                .devices = 1,
                                .nodes = 1};

  f.formats = shape_list(r, formats, sizeof(formats[0]), COUNT(formats));
  return shape_struct(r, &f, UP_TO(ome_runtime_facts, reserved));
}

static const struct ome_score_req *make_score_req(struct run *r) {
  struct ome_accelerator_facts a = {.name = "conform",
                                    .vendor = "nvidia",
                                    .family = "hopper",
                                    .model = "h100",
                                    .compute_capability = "9.0",
                                    .resource = "nvidia.com/gpu",
                                    .memory_bytes = (uint64_t)80 << 30,
                                    .devices_per_node = 8,
                                    .devices_free = 8};
  static const char *const classes[] = {"conform", NULL};
  struct ome_score_req req = {.model = make_model(r), .runtime = make_runtime(r)};

  if (!r->probe->garbage) {
    req.accelerator = shape_struct(r, &a, UP_TO(ome_accelerator_facts, devices_free));
    req.service = shape_bytes(r, conform_service);
  }
  struct ome_wish_facts w = {.accelerators = classes,
                             .protocol = r->probe->garbage ? "\xff" : "openAI",
                             .components = OME_COMPONENT_ENGINE | OME_COMPONENT_DECODER,
                             .own = OME_COMPONENT_DECODER};
  req.wish = shape_struct(r, &w, UP_TO(ome_wish_facts, own));
  struct ome_deployment_facts d = {
      .image = "docker.io/conform/engine:1", .command = "vllm serve /models/conform --port 8080", .concurrency = 8};
  if (r->probe->garbage)
    d.command = "vllm serve --tensor-parallel-size 99999999999999999999 --max-model-len=\xff --kv-cache-dtype";
  req.deployment = shape_struct(r, &d, UP_TO(ome_deployment_facts, reserved));
  return shape_struct(r, &req, UP_TO(ome_score_req, wish));
}

static void scorer_score(struct run *r) {
  struct ome_term_sink sink = {.ctx = r, .points = on_points, .reject = on_reject};
  struct ome_scorer_ops ops;

  ADOPT(ome_scorer_ops, &ops, r);
  NEED(r, ops.score);
  r->rc = ops.score(r->self, make_call(r), make_score_req(r), shape_struct(r, &sink, UP_TO(ome_term_sink, reject)),
                    &r->err);
}

static void scorer_tune(struct run *r) {
  struct ome_setting_sink sink = {
      .ctx = r, .arg = on_setting, .env = on_setting, .resource = on_setting, .unfit = on_unfit};
  struct ome_scorer_ops ops;

  ADOPT(ome_scorer_ops, &ops, r);
  NEED(r, ops.tune);
  r->rc = ops.tune(r->self, make_call(r), make_score_req(r), shape_struct(r, &sink, UP_TO(ome_setting_sink, unfit)),
                   &r->err);
}

const struct method conform_methods[] = {
    {OME_KIND_STORAGE, "match", false, storage_match},
    {OME_KIND_STORAGE, "list", true, storage_list},
    {OME_KIND_STORAGE, "headers", true, storage_headers},
    {OME_KIND_STORAGE, "read", true, storage_read},
    {OME_KIND_STORAGE, "upload", true, storage_upload},
    {OME_KIND_DEPLOYMENT, "render", true, render_render},
    {OME_KIND_DEPLOYMENT, "observe", true, render_observe},
    {OME_KIND_DEPLOYMENT, "needs", true, render_needs},
    {OME_KIND_AUTOSCALER, "render", true, render_render},
    {OME_KIND_AUTOSCALER, "observe", true, render_observe},
    {OME_KIND_AUTOSCALER, "needs", true, render_needs},
    {OME_KIND_INGRESS, "render", true, render_render},
    {OME_KIND_INGRESS, "observe", true, render_observe},
    {OME_KIND_INGRESS, "needs", true, render_needs},
    {OME_KIND_SCORER, "score", true, scorer_score},
    {OME_KIND_SCORER, "tune", true, scorer_tune},
    {NULL, NULL, false, NULL},
};
