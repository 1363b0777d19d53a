/* The agent with everything around it in one process: the API server, a hub, the real storage plugin. */
#include "../unit.h"

#include "../documents.h"

#include "agent/agent.h"
#include "api/schema.h"
#include "apiserver/apiserver.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/str.h"
#include "hub/hub.h"
#include "kube/meta.h"
#include "os/file.h"
#include "transfer/http_service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 30000u
#define TRUTH_MS 5000u /* labels follow the disk */
#define LABEL "models.ome.io/clusterbasemodel."
#define PLUGINS OME_BINARY_DIR "/lib/ome/plugins/storage-"

struct stand {
  char dir[64];
  struct apiserver *server;
  struct kube_client *client;
  struct http_service *http;
  struct plugins *plugins;
  struct hub *hub;
  uint16_t hub_port;
  struct agent *agent;
};

/* ---- kit --------------------------------------------------------------------------------------------------------- */

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static void create(struct stand *s, const struct kube_resource *r, const char *text) {
  _cleanup_json_ struct json_object *o = yaml(text);
  struct ome_err err = ERR_INIT;

  ok(kube_create(s->client, r, o, NULL, &err), &err);
}

static void merge(struct stand *s, const struct kube_resource *r, const char *ns, const char *name, const char *text) {
  _cleanup_json_ struct json_object *o = yaml(text);
  struct ome_err err = ERR_INIT;

  ok(kube_patch(s->client, r, ns, name, NULL, KUBE_PATCH_MERGE, o, NULL, &err), &err);
}

static void drop(struct stand *s, const struct kube_resource *r, const char *ns, const char *name) {
  struct ome_err err = ERR_INIT;

  ok(kube_delete(s->client, r, ns, name, NULL, KUBE_BACKGROUND, &err), &err);
}

/* The label of cluster model NAME on the node, new; NULL: none. */
static char *label_of(struct stand *s, const char *name) {
  _cleanup_json_ struct json_object *node = NULL;
  _cleanup_free_ char *label = str_printf(LABEL "%s", name);
  struct ome_err err = ERR_INIT;

  ok(kube_get(s->client, &KUBE_NODES, NULL, "n1", &node, &err), &err);
  const char *value = meta_label(node, label);
  return value ? strdup(value) : NULL;
}

/* The entry of cluster model NAME, new; NULL: none. */
static struct json_object *entry_of(struct stand *s, const char *name) {
  _cleanup_json_ struct json_object *map = NULL;
  _cleanup_free_ char *key = str_printf("clusterbasemodel.%s", name);
  struct json_object *entry = NULL;
  struct ome_err err = ERR_INIT;

  if (kube_get(s->client, &KUBE_CONFIGMAPS, "ome", "n1", &map, &err) != OME_OK)
    return NULL;
  struct json_object *text = json_get(json_at(map, "data"), key);
  if (!text)
    return NULL;
  const char *t = json_object_get_string(text);
  err = (struct ome_err)ERR_INIT;
  ok(json_parse(t, strlen(t), 0, &entry, &err), &err);
  return entry;
}

/* Waits until label and entry both say WANT; NULL: until both are gone. */
static void await(struct stand *s, const char *name, const char *want) {
  const struct timespec pause = {0, 10000000};
  const uint64_t end = mono_ms() + DEADLINE_MS;

  for (;;) {
    _cleanup_free_ char *label = label_of(s, name);
    _cleanup_json_ struct json_object *entry = entry_of(s, name);
    if (want ? label && streq(label, want) && streq(json_str(entry, "status", ""), want) : !label && !entry)
      return;
    if (mono_ms() > end)
      fail_msg("%s: waited in vain for %s; label %s, entry %s", name, want ? want : "its end", label ? label : "none",
               entry ? json_object_to_json_string(entry) : "none");
    (void)nanosleep(&pause, NULL);
  }
}

static bool is_in_store(const struct stand *s, const char *name, const char *file) {
  _cleanup_free_ char *path = str_printf("%s/store/models/clusterbasemodel.%s/%s", s->dir, name, file);

  return file_exists(path);
}

/* ---- stand ------------------------------------------------------------------------------------------------------- */

static void add_number(struct buf *b, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    buf_addc(b, (char)(v >> (8 * i)));
}

static void add_text(struct buf *b, const char *text) {
  add_number(b, strlen(text), 8);
  buf_adds(b, text);
}

/* A GGUF file of ARCHITECTURE with one small tensor. */
static void put_model(const struct stand *s, const char *repo, const char *file, const char *architecture) {
  _cleanup_free_ char *dir = str_printf("%s/hub/%s", s->dir, repo);
  _cleanup_free_ char *path = path_join(dir, file);
  _cleanup_free_ char *context = str_printf("%s.context_length", architecture);
  _cleanup_buf_ struct buf b = BUF_INIT;
  struct ome_err err = ERR_INIT;

  buf_adds(&b, "GGUF");
  add_number(&b, 3, 4);
  add_number(&b, 1, 8);
  add_number(&b, 2, 8);
  add_text(&b, "general.architecture");
  add_number(&b, 8, 4);
  add_text(&b, architecture);
  add_text(&b, context);
  add_number(&b, 4, 4);
  add_number(&b, 2048, 4);
  add_text(&b, "token_embd.weight");
  add_number(&b, 1, 4);
  add_number(&b, 32, 8);
  add_number(&b, 0, 4);
  add_number(&b, 0, 8);
  while (b.len % 32)
    buf_addc(&b, 0);
  for (int i = 0; i < 32; i++)
    add_number(&b, 0, 4);
  ok(dir_make(dir, 0755, &err), &err);
  ok(file_write(path, b.data, b.len, 0644, &err), &err);
}

static void start_hub(struct stand *s, int fault) {
  _cleanup_free_ char *dir = path_join(s->dir, "hub");
  const struct hub_config cfg = {.dir = dir, .port = s->hub_port, .fault_status = fault};
  struct ome_err err = ERR_INIT;

  hub_stop(s->hub);
  s->hub = NULL;
  ok(hub_start(&cfg, &s->hub, &err), &err);
  s->hub_port = hub_port(s->hub);
}

static void start_agent_with(struct stand *s, size_t nfurther) {
  _cleanup_free_ char *store = path_join(s->dir, "store");
  _cleanup_free_ char *network = path_join(s->dir, "network");
  const struct agent_store further[] = {{.name = "network", .dir = network}};
  const struct agent_config cfg = {.client = s->client,
                                   .plugins = s->plugins,
                                   .node_name = "n1",
                                   .store_dir = store,
                                   .further = further,
                                   .nfurther = nfurther};
  struct ome_err err = ERR_INIT;

  ok(agent_start(&cfg, &s->agent, &err), &err);
}

static void start_agent(struct stand *s) {
  start_agent_with(s, 0);
}

static void load_plugins(struct stand *s) {
  _cleanup_free_ char *path = path_join(s->dir, "plugins.conf");
  _cleanup_free_ char *text =
      str_printf("all: false\nplugins: [{file: \"%shf.so\", required: true, settings: {hf: {endpoint: "
                 "\"http://127.0.0.1:%u\"}}}, {file: \"%svendor.so\", required: true}]\n",
                 PLUGINS, s->hub_port, PLUGINS);
  struct ome_err err = ERR_INIT;

  ok(file_write(path, text, strlen(text), 0644, &err), &err);
  ok(http_service_new(&s->http, &err), &err);
  const struct plugin_service services[] = {{OME_SERVICE_HTTP, http_service_table(s->http)}};
  ok(plugins_load(path, services, ARRAY_LEN(services), &s->plugins, &err), &err);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)unsetenv("HF_TOKEN");
  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-agent-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  _cleanup_free_ char *data = path_join(s->dir, "data");
  ok(dir_make(data, 0700, &err), &err);
  struct apiserver_config server = {.data_dir = data};
  ok(apiserver_start(&server, &s->server, &err), &err);
  ok(kube_client_new(apiserver_kubeconfig(s->server), NULL, &s->client, &err), &err);
  _cleanup_json_ struct json_object *crds = api_crds();
  for (size_t i = 0; i < json_len(crds); i++)
    ok(kube_create(s->client, &KUBE_CRDS, json_index(crds, i), NULL, &err), &err);
  create(s, &KUBE_NAMESPACES, "{apiVersion: v1, kind: Namespace, metadata: {name: ome}}");
  create(s, &KUBE_NODES, "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {zone: a}}}");
  put_model(s, "org/one", "one.gguf", "llama");
  put_model(s, "org/two", "two.gguf", "qwen2");
  start_hub(s, 0);
  load_plugins(s);
  start_agent(s);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  agent_stop(s->agent);
  plugins_free(s->plugins);
  http_service_free(s->http);
  hub_stop(s->hub);
  kube_client_free(s->client);
  apiserver_stop(s->server);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

#define MODEL(name, repo, rest)                                                                                        \
  "{apiVersion: ome.io/v1beta1, kind: ClusterBaseModel, metadata: {name: " name "}, spec: {storage: {storageUri: "     \
  "'hf://" repo "'" rest "}}}"

/* ---- a model's life ---------------------------------------------------------------------------------------------- */

static void brings_a_model(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("m", "org/one", ""));
  await(s, "m", "Ready");
  _cleanup_json_ struct json_object *entry = entry_of(s, "m");
  assert_string_equal(json_str(entry, "name", ""), "m");
  assert_string_equal(json_str(entry, "config.modelType", ""), "llama");
  assert_int_equal(json_i64(entry, "config.maxTokens", 0), 2048);
  assert_int_equal(strlen(json_str(entry, "config.artifact.sha", "")), 40);
  assert_null(json_at(entry, "progress"));
  assert_true(is_in_store(s, "m", "one.gguf"));
  _cleanup_json_ struct json_object *model = NULL;
  ok(kube_get(s->client, &KUBE_CLUSTERBASEMODELS, NULL, "m", &model, &err), &err);
  assert_true(has_suffix(json_str(model, "spec.storage.path", ""), "/store/models/clusterbasemodel.m"));
}

static void follows_the_uri(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};

  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "m", "{spec: {storage: {storageUri: 'hf://org/two'}}}");
  for (uint64_t end = mono_ms() + DEADLINE_MS; !is_in_store(s, "m", "two.gguf") && mono_ms() < end;)
    (void)nanosleep(&pause, NULL);
  await(s, "m", "Ready");
  assert_true(is_in_store(s, "m", "two.gguf"));
  assert_false(is_in_store(s, "m", "one.gguf"));
  _cleanup_json_ struct json_object *entry = entry_of(s, "m");
  assert_string_equal(json_str(entry, "config.modelType", ""), "qwen2");
}

/* A model without files is Ready and an empty folder; it may come to have some. */
static void stays_at_its_vendor(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_CLUSTERBASEMODELS,
         "{apiVersion: ome.io/v1beta1, kind: ClusterBaseModel, metadata: {name: far}, "
         "spec: {storage: {storageUri: 'vendor://acme/models/far'}}}");
  await(s, "far", "Ready");
  _cleanup_json_ struct json_object *entry = entry_of(s, "far");
  assert_string_equal(json_str(entry, "config.modelType", "none"), "none");
  assert_true(is_in_store(s, "far", "."));
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "far", "{spec: {storage: {storageUri: 'vendor://acme'}}}");
  await(s, "far", "Failed");
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "far", "{spec: {storage: {storageUri: 'hf://org/one'}}}");
  await(s, "far", "Ready");
  assert_true(is_in_store(s, "far", "one.gguf"));
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "far");
  await(s, "far", NULL);
}

static void heals_what_is_edited_by_hand(void **state) {
  struct stand *s = *state;

  merge(s, &KUBE_NODES, NULL, "n1", "{metadata: {labels: {" LABEL "m: Failed}}}");
  await(s, "m", "Ready");
  drop(s, &KUBE_CONFIGMAPS, "ome", "n1");
  await(s, "m", "Ready");
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1", "{data: {clusterbasemodel.m: 'nonsense'}}");
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1", "{data: {clusterbasemodel.m: null}}");
  await(s, "m", "Ready");
  /* What stands there is ours to the letter. */
  const struct timespec pause = {0, 10000000};
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1",
        "{data: {clusterbasemodel.m: '{\"name\":\"m\",\"status\":\"Ready\",\"config\":{\"modelType\":\"fake\"}}'}}");
  for (uint64_t end = mono_ms() + TRUTH_MS;; (void)nanosleep(&pause, NULL)) {
    _cleanup_json_ struct json_object *entry = entry_of(s, "m");
    if (streq(json_str(entry, "config.modelType", ""), "qwen2"))
      break;
    assert_true(mono_ms() < end);
  }
}

/* How often the files of cluster model NAME were looked at and found whole. */
static double looks_at(const char *name) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  _cleanup_free_ char *series =
      str_printf("model_agent_verifications_total{model_type=\"ClusterBaseModel\",namespace=\"\",name=\"%s\","
                 "result=\"success\"} ",
                 name);

  metrics_render(&text);
  const char *at = strstr(buf_str(&text), series);
  return at ? strtod(at + strlen(series), NULL) : 0;
}

/* What is written of one model, progress above all, is no reason to look at the others. */
static void looks_at_what_the_record_is_about(void **state) {
  struct stand *s = *state;
  unsigned writes = 0;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("other", "org/one", ""));
  await(s, "other", "Ready");
  double own = looks_at("m"), others = looks_at("other");
  for (; writes < 10; writes++) {
    merge(s, &KUBE_CONFIGMAPS, "ome", "n1", "{data: {clusterbasemodel.m: '{\"name\":\"m\",\"status\":\"Updating\"}'}}");
    await(s, "m", "Ready");
  }
  own = looks_at("m") - own;
  others = looks_at("other") - others;
  print_message("%u writes about one model: %.0f looks at it, %.0f at another\n", writes, own, others);
  assert_true(own >= writes && others < writes);
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "other");
  await(s, "other", NULL);
}

/* What a killed agent has left of a model that is there no more. */
static void forgets_what_is_no_model(void **state) {
  struct stand *s = *state;

  merge(s, &KUBE_NODES, NULL, "n1", "{metadata: {labels: {" LABEL "ghost: Ready}}}");
  await(s, "ghost", NULL);
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1",
        "{data: {clusterbasemodel.ghost: '{\"name\":\"ghost\",\"status\":\"Ready\"}'}}");
  await(s, "ghost", NULL);
  agent_stop(s->agent);
  merge(s, &KUBE_CONFIGMAPS, "ome", "n1",
        "{data: {clusterbasemodel.ghost: '{\"name\":\"ghost\",\"status\":\"Ready\"}'}}");
  start_agent(s);
  await(s, "ghost", NULL);
}

/* Nobody tells of files that go; the label follows, and the files come back. */
static void notices_files_that_go(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};
  _cleanup_free_ char *file = str_printf("%s/store/models/clusterbasemodel.m/two.gguf", s->dir);

  start_hub(s, 503); /* it stays away for a while */
  assert_int_equal(unlink(file), 0);
  for (uint64_t end = mono_ms() + TRUTH_MS;; (void)nanosleep(&pause, NULL)) {
    _cleanup_free_ char *label = label_of(s, "m");
    if (label && !streq(label, "Ready"))
      break;
    assert_true(mono_ms() < end);
  }
  start_hub(s, 0);
  await(s, "m", "Ready");
  assert_true(file_exists(file));
}

/* A node that was removed and added again says the same as before. */
static void survives_its_node(void **state) {
  struct stand *s = *state;

  drop(s, &KUBE_NODES, NULL, "n1");
  create(s, &KUBE_NODES, "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {zone: a}}}");
  await(s, "m", "Ready");
}

/* A cordoned node takes nothing new and says so; what it has stays. */
static void waits_on_a_cordoned_node(void **state) {
  struct stand *s = *state;

  merge(s, &KUBE_NODES, NULL, "n1", "{spec: {unschedulable: true}}");
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("c", "org/one", ""));
  await(s, "c", "Updating");
  _cleanup_json_ struct json_object *entry = entry_of(s, "c");
  assert_non_null(strstr(json_str(entry, "message", ""), "cordoned"));
  await(s, "m", "Ready");
  assert_false(is_in_store(s, "c", "one.gguf"));
  merge(s, &KUBE_NODES, NULL, "n1", "{spec: {unschedulable: null}}");
  await(s, "c", "Ready");
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "c");
  await(s, "c", NULL);
}

/* A restart finds what is whole without asking the hub, another rate or not, and fetches what is not. */
static void restarts(void **state) {
  struct stand *s = *state;
  _cleanup_free_ char *file = str_printf("%s/store/models/clusterbasemodel.m/two.gguf", s->dir);

  agent_stop(s->agent);
  start_hub(s, 503);
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "m", "{spec: {storage: {parameters: {maxRate: 1Gi}}}}");
  drop(s, &KUBE_CONFIGMAPS, "ome", "n1"); /* that it is written again shows that the agent looked */
  start_agent(s);
  await(s, "m", "Ready");
  agent_stop(s->agent);
  assert_int_equal(unlink(file), 0);
  start_hub(s, 0);
  drop(s, &KUBE_CONFIGMAPS, "ome", "n1");
  start_agent(s);
  await(s, "m", "Ready");
  assert_true(file_exists(file));
}

static void moves_with_the_path(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};
  _cleanup_free_ char *file = str_printf("%s/elsewhere/m/two.gguf", s->dir);
  _cleanup_free_ char *patch = str_printf("{spec: {storage: {path: '%s/elsewhere/m'}}}", s->dir);

  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "m", patch);
  for (uint64_t end = mono_ms() + DEADLINE_MS; !file_exists(file) && mono_ms() < end;)
    (void)nanosleep(&pause, NULL);
  await(s, "m", "Ready");
  assert_true(file_exists(file));
  assert_false(is_in_store(s, "m", "two.gguf"));
}

static void lets_go(void **state) {
  struct stand *s = *state;
  _cleanup_free_ char *folder = str_printf("%s/elsewhere/m", s->dir);

  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "m");
  await(s, "m", NULL);
  assert_false(file_exists(folder));
}

static void follows_the_node(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("z", "org/one", ", nodeSelector: {zone: b}"));
  merge(s, &KUBE_NODES, NULL, "n1", "{metadata: {labels: {zone: b}}}");
  await(s, "z", "Ready");
  merge(s, &KUBE_NODES, NULL, "n1", "{metadata: {labels: {zone: a}}}");
  await(s, "z", NULL);
  assert_false(is_in_store(s, "z", ""));
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "z");
}

/* Patterns in the parameters, whatever the backend; a change of them is acted on. */
static void follows_the_parameters(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};

  put_model(s, "org/pair", "a.gguf", "llama");
  put_model(s, "org/pair", "b.gguf", "qwen2");
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("p", "org/pair", ", parameters: {exclude: 'x,b.*'}"));
  await(s, "p", "Ready");
  assert_true(is_in_store(s, "p", "a.gguf"));
  assert_false(is_in_store(s, "p", "b.gguf"));
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "p",
        "{spec: {storage: {parameters: {exclude: null, include: '?.gguf', revision: main}}}}");
  for (uint64_t end = mono_ms() + DEADLINE_MS; !is_in_store(s, "p", "b.gguf") && mono_ms() < end;)
    (void)nanosleep(&pause, NULL);
  await(s, "p", "Ready");
  assert_true(is_in_store(s, "p", "a.gguf"));
  assert_true(is_in_store(s, "p", "b.gguf"));
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "p", "{spec: {storage: {parameters: {include: 'a.*', maxRate: fast}}}}");
  await(s, "p", "Failed");
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "p", "{spec: {storage: {parameters: {maxRate: 20M}}}}");
  await(s, "p", "Ready");
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "p");
  await(s, "p", NULL);
}

/* Two models of one repository are one set of bytes; one of them goes while the agent is not there. */
static void shares_and_sweeps(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};
  _cleanup_free_ char *one = str_printf("%s/store/models/clusterbasemodel.s1/one.gguf", s->dir);
  _cleanup_free_ char *two = str_printf("%s/store/models/clusterbasemodel.s2/one.gguf", s->dir);
  struct stat a;
  struct stat b;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("s1", "org/one", ""));
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("s2", "org/one", ""));
  await(s, "s1", "Ready");
  await(s, "s2", "Ready");
  assert_int_equal(stat(one, &a), 0);
  assert_int_equal(stat(two, &b), 0);
  assert_int_equal(a.st_ino, b.st_ino);
  agent_stop(s->agent);
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "s1");
  start_agent(s);
  await(s, "s1", NULL);
  for (uint64_t end = mono_ms() + DEADLINE_MS; file_exists(one) && mono_ms() < end;)
    (void)nanosleep(&pause, NULL);
  assert_false(file_exists(one));
  assert_true(file_exists(two));
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "s2");
  await(s, "s2", NULL);
}

/* A byte that changes on the disk without a trace is found at the next start, and the file is whole again. */
static void heals_a_flipped_bit(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};
  _cleanup_free_ char *path = str_printf("%s/store/models/clusterbasemodel.b/one.gguf", s->dir);
  struct stat st;
  char byte = 'X';

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("b", "org/one", ""));
  await(s, "b", "Ready");
  agent_stop(s->agent);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(chmod(path, 0644), 0);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
  const struct timespec times[] = {st.st_atim, st.st_mtim};
  assert_int_equal(futimens(fd, times), 0);
  start_agent(s);
  for (uint64_t end = mono_ms() + DEADLINE_MS; byte != 'G' && mono_ms() < end;) {
    (void)nanosleep(&pause, NULL);
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
  }
  assert_int_equal(byte, 'G');
  (void)close(fd);
  await(s, "b", "Ready");
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "b");
  await(s, "b", NULL);
}

static void says_why_it_failed_and_recovers(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("f", "org/late", ""));
  await(s, "f", "Failed");
  _cleanup_json_ struct json_object *entry = entry_of(s, "f");
  assert_non_null(strstr(json_str(entry, "message", ""), "org/late"));
  assert_string_equal(json_str(entry, "cause", ""), "NotFound");
  put_model(s, "org/late", "late.gguf", "llama");
  await(s, "f", "Ready");
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "f");
  await(s, "f", NULL);
}

/* ---- several stores ---------------------------------------------------------------------------------------------- */

static bool is_on_network(const struct stand *s, const char *name, const char *file) {
  _cleanup_free_ char *path = str_printf("%s/network/models/clusterbasemodel.%s/%s", s->dir, name, file);

  return file_exists(path);
}

static char *path_in_spec(struct stand *s, const char *name) {
  _cleanup_json_ struct json_object *model = NULL;
  struct ome_err err = ERR_INIT;

  ok(kube_get(s->client, &KUBE_CLUSTERBASEMODELS, NULL, name, &model, &err), &err);
  return strdup(json_str(model, "spec.storage.path", ""));
}

#define STORED(name, repo, store)                                                                                      \
  "{apiVersion: ome.io/v1beta1, kind: ClusterBaseModel, metadata: {name: " name                                        \
  ", annotations: {models.ome.io/store: " store "}}, spec: {storage: {storageUri: 'hf://" repo "'}}}"

/* One names its store; another does not fit into the first; what names none that is here says so. */
static void chooses_among_stores(void **state) {
  struct stand *s = *state;
  _cleanup_free_ char *network = path_join(s->dir, "network/models/clusterbasemodel.far");

  agent_stop(s->agent);
  start_agent_with(s, 1);
  create(s, &KUBE_CLUSTERBASEMODELS, STORED("far", "org/one", "network"));
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("near", "org/two", ""));
  create(s, &KUBE_CLUSTERBASEMODELS, STORED("lost", "org/two", "tape"));
  await(s, "far", "Ready");
  await(s, "near", "Ready");
  await(s, "lost", "Failed");
  assert_true(is_on_network(s, "far", "one.gguf") && !is_in_store(s, "far", ""));
  assert_true(is_in_store(s, "near", "two.gguf") && !is_on_network(s, "near", ""));
  _cleanup_free_ char *path = path_in_spec(s, "far");
  assert_string_equal(path, network);
  _cleanup_json_ struct json_object *lost = entry_of(s, "lost");
  assert_string_equal(json_str(lost, "cause", ""), "Invalid");
  assert_non_null(strstr(json_str(lost, "message", ""), "no store \"tape\"; it has default, network"));
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "lost");
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "near");
  await(s, "near", NULL);
  merge(s, &KUBE_NODES, NULL, "n1", "{metadata: {annotations: {models.ome.io/store-capacity: '100'}}}");
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("large", "org/two", ""));
  await(s, "large", "Ready");
  assert_true(is_on_network(s, "large", "two.gguf") && !is_in_store(s, "large", ""));
}

/* It is Ready where it is to be, and nothing of it stays where it was; also when the agent starts anew. */
static void moves_to_another_store(void **state) {
  struct stand *s = *state;
  const struct timespec pause = {0, 10000000};
  _cleanup_free_ char *patch = str_printf("{spec: {storage: {path: '%s/store/models/clusterbasemodel.far'}}}", s->dir);

  merge(s, &KUBE_NODES, NULL, "n1", "{metadata: {annotations: {models.ome.io/store-capacity: null}}}");
  merge(s, &KUBE_CLUSTERBASEMODELS, NULL, "far", patch);
  for (uint64_t end = mono_ms() + DEADLINE_MS; is_on_network(s, "far", "") && mono_ms() < end;)
    (void)nanosleep(&pause, NULL);
  await(s, "far", "Ready");
  assert_true(is_in_store(s, "far", "one.gguf") && !is_on_network(s, "far", ""));
  agent_stop(s->agent);
  start_agent_with(s, 1);
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "far");
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "large");
  await(s, "far", NULL);
  await(s, "large", NULL);
  assert_false(is_in_store(s, "far", "") || is_on_network(s, "large", ""));
  agent_stop(s->agent);
  start_agent(s);
}

/* Their keys are the same: the cluster's own has it, and the other gets it when that goes. */
static void shares_no_key(void **state) {
  struct stand *s = *state;

  create(s, &KUBE_NAMESPACES, "{apiVersion: v1, kind: Namespace, metadata: {name: clusterbasemodel}}");
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("basemodel.x", "org/one", ""));
  await(s, "basemodel.x", "Ready");
  create(
      s, &KUBE_BASEMODELS,
      "{apiVersion: ome.io/v1beta1, kind: BaseModel, metadata: {name: x, namespace: clusterbasemodel}, spec: {storage: "
      "{storageUri: 'hf://org/two'}}}");
  create(s, &KUBE_CLUSTERBASEMODELS, MODEL("after", "org/two", "")); /* shows that the agent has looked */
  await(s, "after", "Ready");
  assert_true(is_in_store(s, "basemodel.x", "one.gguf") && !is_in_store(s, "basemodel.x", "two.gguf"));
  drop(s, &KUBE_CLUSTERBASEMODELS, NULL, "basemodel.x");
  const struct timespec pause = {0, 10000000};
  for (uint64_t end = mono_ms() + DEADLINE_MS; !is_in_store(s, "basemodel.x", "two.gguf") && mono_ms() < end;)
    (void)nanosleep(&pause, NULL);
  await(s, "basemodel.x", "Ready"); /* their label is the same, too */
  assert_true(is_in_store(s, "basemodel.x", "two.gguf") && !is_in_store(s, "basemodel.x", "one.gguf"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(brings_a_model),
      cmocka_unit_test(follows_the_uri),
      cmocka_unit_test(stays_at_its_vendor),
      cmocka_unit_test(heals_what_is_edited_by_hand),
      cmocka_unit_test(looks_at_what_the_record_is_about),
      cmocka_unit_test(forgets_what_is_no_model),
      cmocka_unit_test(notices_files_that_go),
      cmocka_unit_test(survives_its_node),
      cmocka_unit_test(waits_on_a_cordoned_node),
      cmocka_unit_test(restarts),
      cmocka_unit_test(moves_with_the_path),
      cmocka_unit_test(lets_go),
      cmocka_unit_test(follows_the_node),
      cmocka_unit_test(follows_the_parameters),
      cmocka_unit_test(shares_and_sweeps),
      cmocka_unit_test(heals_a_flipped_bit),
      cmocka_unit_test(says_why_it_failed_and_recovers),
      cmocka_unit_test(chooses_among_stores),
      cmocka_unit_test(moves_to_another_store),
      cmocka_unit_test(shares_no_key),
  };

  return cmocka_run_group_tests(tests, setup, teardown);
}
