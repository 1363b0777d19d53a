/* ome up: the whole platform on one machine, in one process. */
#include "cli/apply_objects.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/stores.h"

#include "agent/agent.h"
#include "api/schema.h"
#include "apiserver/apiserver.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/serve.h"
#include "controller/controller.h"
#include "gateway/gateway.h"
#include "kube/meta.h"
#include "local/local.h"
#include "os/file.h"
#include "os/memory.h"
#include "plugin/plugin.h"
#include "transfer/http_service.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

struct up_options {
  const char *data_dir;
  const char *plugins_conf;
  const char *node_name;
  uint64_t port;
  uint64_t gateway_port;
  uint64_t timeout_s;
  struct cli_list manifests, further;
  struct store_options stores;
  bool detach;
};

/* Everything that runs, in the order it is started; stopped in reverse. */
struct platform {
  int lock_fd;
  struct apiserver *apiserver;
  struct kube_client *client;
  struct http_service *http;
  struct plugins *plugins;
  struct gateway *gateway;
  struct local *local;
  struct agent *agent;
  struct controller *controller;
  char *gateway_url;
};

static void platform_stop(struct platform *p) {
  controller_stop(p->controller);
  agent_stop(p->agent);
  if (p->apiserver)
    apiserver_set_logs(p->apiserver, NULL, NULL);
  local_stop(p->local);
  gateway_stop(p->gateway);
  plugins_free(p->plugins);
  http_service_free(p->http);
  kube_client_free(p->client);
  apiserver_stop(p->apiserver);
  free(p->gateway_url);
  if (p->lock_fd >= 0)
    (void)close(p->lock_fd);
}

/* Makes the data folder this process' own.  The lock ends with the process, however it ends; the file also says the
 * process id, for people and for ./dev down. */
static int32_t lock_data_dir(const char *data_dir, int *out_fd, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(data_dir, "ome.pid");
  char pid[32] = "";
  int32_t rc = dir_make(data_dir, 0755, err);

  if (rc != OME_OK)
    return rc;
  _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0)
    return fail_errno(err, "open", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    return fail(err, OME_E_BUSY, "%s: in use by another ome up, process %.*s; stop it or choose another --data",
                data_dir, (int)strcspn(pid, "\n"), pid);
  }
  int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
    return fail_errno(err, "write", path);
  *out_fd = TAKE_FD(fd);
  return OME_OK;
}

static int32_t install_crds(struct kube_client *client, struct json_object *crds, struct ome_err *err) {
  for (size_t i = 0; i < json_len(crds); i++) {
    struct json_object *crd = json_index(crds, i);
    int32_t rc = kube_apply(client, &KUBE_CRDS, crd, NULL, "ome-up", true, NULL, err);
    if (rc != OME_OK)
      return fail_prefix(err, "install CRD %s", meta_name(crd));
  }
  return OME_OK;
}

static int32_t ensure_namespace(struct kube_client *client, const char *name, struct ome_err *err) {
  _cleanup_json_ struct json_object *ns = json_object_new_object();

  if (!json_set_str(ns, "apiVersion", "v1") || !json_set_str(ns, "kind", "Namespace") ||
      !json_set_str(ns, "metadata.name", name))
    return fail_memory(err);
  return kube_apply(client, &KUBE_NAMESPACES, ns, NULL, "ome-up", true, NULL, err);
}

static int32_t start_api(struct platform *p, const struct up_options *o, struct ome_err *err) {
  const struct apiserver_config cfg = {.data_dir = o->data_dir, .port = (uint16_t)o->port};
  _cleanup_json_ struct json_object *crds = api_crds(), *foreign = local_crds();
  int32_t rc = apiserver_start(&cfg, &p->apiserver, err);

  if (rc == OME_OK)
    rc = kube_client_new(apiserver_kubeconfig(p->apiserver), NULL, &p->client, err);
  if (rc == OME_OK)
    rc = install_crds(p->client, crds, err);
  if (rc == OME_OK)
    rc = install_crds(p->client, foreign, err);
  if (rc == OME_OK)
    rc = ensure_namespace(p->client, "ome", err);
  return rc;
}

static int32_t start_plugins(struct platform *p, const struct up_options *o, struct ome_err *err) {
  int32_t rc = http_service_new(&p->http, err);

  if (rc != OME_OK)
    return rc;
  const struct plugin_service services[] = {{OME_SERVICE_HTTP, http_service_table(p->http)}};
  return plugins_load(o->plugins_conf, services, ARRAY_LEN(services), &p->plugins, err);
}

static int32_t start_workloads(struct platform *p, const struct up_options *o, struct ome_err *err) {
  const struct gateway_config gateway = {.port = (uint16_t)o->gateway_port};
  int32_t rc = gateway_start(&gateway, &p->gateway, err);

  if (rc != OME_OK)
    return rc;
  p->gateway_url = str_printf("http://%%s.%%s.localhost:%u", gateway_port(p->gateway));
  if (!p->gateway_url)
    return fail_memory(err);
  const struct local_config local = {
      .client = p->client, .data_dir = o->data_dir, .node_name = o->node_name, .gateway = p->gateway};
  rc = local_start(&local, &p->local, err);
  if (rc == OME_OK)
    apiserver_set_logs(p->apiserver, local_serve_logs, p->local);
  return rc;
}

static int32_t start_control(struct platform *p, const struct up_options *o, struct ome_err *err) {
  _cleanup_free_ char *store = path_join(o->data_dir, "store");
  const struct agent_config agent = {.client = p->client,
                                     .plugins = p->plugins,
                                     .node_name = o->node_name,
                                     .store_dir = store,
                                     .further = o->stores.list,
                                     .nfurther = o->stores.len};
  char self[PATH_MAX] = "";
  ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
  _cleanup_free_ char *plugins = o->plugins_conf ? realpath(o->plugins_conf, NULL) : NULL;
  const struct controller_config controller = {.client = p->client,
                                               .plugins = p->plugins,
                                               .gateway_url = p->gateway_url,
                                               .program = n > 0 ? self : NULL,
                                               .plugins_conf = plugins};
  int32_t rc = store ? agent_start(&agent, &p->agent, err) : fail_memory(err);

  return rc == OME_OK ? controller_start(&controller, &p->controller, err) : rc;
}

static int32_t platform_start(struct platform *p, const struct up_options *o, struct ome_err *err) {
  int32_t rc = lock_data_dir(o->data_dir, &p->lock_fd, err);

  if (rc == OME_OK)
    rc = start_api(p, o, err);
  if (rc == OME_OK)
    rc = start_plugins(p, o, err);
  if (rc == OME_OK)
    rc = start_workloads(p, o, err);
  if (rc == OME_OK)
    rc = start_control(p, o, err);
  return rc;
}

/* Runs the platform until a signal; progress and the outcome go to REPORT.  The exit code. */
/* By a client of its own, as it hears what the server warns of. */
static int32_t apply_manifests(const struct platform *p, struct json_object *docs, struct ome_err *err) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  int32_t rc = kube_client_new(apiserver_kubeconfig(p->apiserver), NULL, &client, err);

  return rc == OME_OK ? apply_objects(client, docs, NULL, NULL, err) : rc;
}

static int run_platform(const struct up_options *o, struct json_object *docs, FILE *report, int ready_fd) {
  struct platform p = {.lock_fd = -1};
  struct ome_err err = ERR_INIT;
  uint64_t began = mono_ms();
  int64_t began_wall = wall_ms();
  int32_t rc = platform_start(&p, o, &err);
  struct progress *progress = NULL;

  if (rc == OME_OK) {
    fprintf(report, "ome is up after %u ms: API %s, gateway http://127.0.0.1:%u\n", (unsigned)(mono_ms() - began),
            kube_client_server(p.client), gateway_port(p.gateway));
    memory_trim(); /* the CRDs as trees, the answers to the first lists */
    rc = apply_manifests(&p, docs, &err);
  }
  const struct progress_config cfg = {report, o->timeout_s * 1000, began_wall, ready_fd};
  if (rc == OME_OK && json_len(docs))
    rc = progress_start(p.client, docs, &cfg, &progress, &err);
  else if (rc == OME_OK && ready_fd >= 0)
    progress_tell(report, ready_fd, 0);
  if (rc == OME_OK)
    log_info("up", "stopping on signal %d", cli_signal_wait());
  else
    fprintf(report, "ome: %s\n", err.msg);
  if (rc != OME_OK && ready_fd >= 0)
    progress_tell(report, ready_fd, 1);
  progress_stop(progress);
  platform_stop(&p);
  return rc == OME_OK ? 0 : 1;
}

/* Sends the log to DATA/ome.log and keeps the terminal for the report. */
static FILE *redirect_log(const char *data_dir, bool detach, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(data_dir, "ome.log");

  if (dir_make(data_dir, 0755, err) != OME_OK)
    return NULL;
  int terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  _cleanup_close_ int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (terminal < 0 || log < 0 || dup2(log, STDERR_FILENO) < 0) {
    (void)fail_errno(err, "open", path);
    return NULL;
  }
  if (detach) {
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
  }
  FILE *report = fdopen(terminal, "w");
  if (report)
    setvbuf(report, NULL, _IOLBF, 0);
  return report;
}

/* Waits for the detached process to report: the exit code it sends, or 1 when it dies without a word. */
static int wait_for_report(int fd) {
  uint8_t code = 1;

  return read(fd, &code, 1) == 1 ? code : 1;
}

static int run_up(const struct up_options *o, struct json_object *docs) {
  struct ome_err err = ERR_INIT;
  int ends[2] = {-1, -1};

  if (o->detach) {
    if (pipe2(ends, O_CLOEXEC) != 0)
      return cli_fail((fail_errno(&err, "pipe", "--detach"), &err));
    pid_t child = fork();
    if (child < 0)
      return cli_fail((fail_errno(&err, "fork", "--detach"), &err));
    if (child > 0) {
      (void)close(ends[1]);
      return wait_for_report(ends[0]);
    }
    (void)close(ends[0]);
    (void)setsid();
  }
  FILE *report = redirect_log(o->data_dir, o->detach, &err);
  if (!report)
    return cli_fail(&err);
  cli_signals_block();
  cli_share_heaps();
  int rc = run_platform(o, docs, report, ends[1]);
  (void)fclose(report);
  return rc;
}

static int up_main(const struct cli_command *self, int argc, char **argv) {
  struct up_options o = {.data_dir = ".ome", .port = 6443, .gateway_port = 8080, .timeout_s = 900};
  const struct cli_option options[] = {
      {'d', "data", "DIR", "where all state lives (default: .ome)", CLI_STRING, &o.data_dir},
      {'f', "filename", "PATH", "apply these manifests and follow them until Ready; may be repeated", CLI_LIST,
       &o.manifests},
      {0, "detach", NULL, "return when what -f names is Ready (exit 0) or has failed (exit 1)", CLI_FLAG, &o.detach},
      {0, "timeout", "SECONDS", "how long that may take (default: 900)", CLI_UINT, &o.timeout_s},
      {0, "port", "N", "port of the API server on 127.0.0.1 (default: 6443)", CLI_UINT, &o.port},
      {0, "gateway-port", "N", "port of the gateway on 127.0.0.1 (default: 8080)", CLI_UINT, &o.gateway_port},
      OPTION_PLUGINS(&o.plugins_conf),
      {0, "node-name", "NAME", "name of this machine's Node (default: the host name)", CLI_STRING, &o.node_name},
      STORE_OPTION(&o.further),
      {0},
  };
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *docs = NULL;

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected operand \"%s\"", argv[1]);
  if (o.port > UINT16_MAX || o.gateway_port > UINT16_MAX)
    return cli_usage(self, "a port is at most %d", UINT16_MAX);
  if (!store_options_read(&o.stores, &o.further, o.data_dir, &err))
    return cli_usage(self, "%s", err.msg);
  if (cli_load_manifests(&o.manifests, &docs, &err) != OME_OK)
    return cli_fail(&err);
  return run_up(&o, docs);
}

const struct cli_command cli_up = {
    .name = "up",
    .args = "",
    .summary = "run the whole platform on this machine",
    .help =
        "Starts the API server, the controller, the node agent, the runner and the gateway in one process, until\n"
        "it gets SIGINT or SIGTERM.  State, the log (ome.log) and a kubeconfig are in the --data folder.\n\n"
        "With --detach the platform stays when what -f names has failed or was not Ready in time (exit 1): it goes\n"
        "on trying, as Kubernetes does.  It ends only when it could not start, or an object was refused.\n\n"
        "  ome up -f manifests/quickstart            run, and follow the quickstart until it is Ready\n"
        "  ome up -f manifests/quickstart --detach   the same, in the background\n"
        "  kubectl --kubeconfig .ome/kubeconfig get inferenceservices -A",
    .run = up_main,
};
