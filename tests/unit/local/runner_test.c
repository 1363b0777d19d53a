/* The runner with real processes: what they are given, how they end, and that nothing of them remains. */
#include "../unit.h"

#include "base/clock.h"
#include "docs.h"
#include "local/orphans.h"
#include "local/runner.h"
#include "os/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 40000
#define SHIM OME_BINARY_DIR "/lib/ome/ome-shim"

struct fixture {
  char dir[64];
  char id[17];
  struct http_client *http;
  struct runner *runner;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t changes;
  struct buf events; /* "Reason: message\n" */
};

static void on_change(void *arg, const char *ns, const char *name) {
  struct fixture *f = arg;
  (void)ns;
  (void)name;

  pthread_mutex_lock(&f->lock);
  f->changes++;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->lock);
}

static void on_event(void *arg, const struct runner_event *e) {
  struct fixture *f = arg;

  pthread_mutex_lock(&f->lock);
  buf_addf(&f->events, "%s: %s\n", e->reason, e->message);
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->lock);
}

static void runner_begin(struct fixture *f) {
  struct ome_err err = ERR_INIT;
  const struct runner_config cfg = {.data_dir = f->dir,
                                    .shim = SHIM,
                                    .id = f->id,
                                    .http = f->http,
                                    .on_change = on_change,
                                    .on_event = on_event,
                                    .arg = f};

  if (runner_new(&cfg, &f->runner, &err) != OME_OK)
    fail_msg("%s", err.msg);
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof(*f));
  struct ome_err err = ERR_INIT;

  (void)snprintf(f->dir, sizeof(f->dir), "/tmp/ome-runner-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  random_hex(f->id, 16);
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->changed, NULL);
  assert_int_equal(http_client_new(&(struct http_client_config){0}, &f->http, &err), OME_OK);
  runner_begin(f);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  struct ome_err err = ERR_INIT;

  if (f->runner)
    runner_free(f->runner, 2);
  http_client_free(f->http);
  assert_int_equal(orphans_kill(f->id), 0);
  (void)tree_remove(f->dir, &err);
  buf_fini(&f->events);
  free(f);
  return 0;
}

/* ---- pods
 * -------------------------------------------------------------------------------------------------------------------
 */

static int no_lookup(void *arg, const char *kind, const char *name, struct json_object **out) {
  (void)arg, (void)kind, (void)name, (void)out;
  return 0;
}

static char *tmp_volume(void *arg, const char *name, const char *sub) {
  struct fixture *f = arg;
  (void)name, (void)sub;
  return strdup(f->dir);
}

/* Runs a pod "p" of SPEC with uid UID. */
static void add(struct fixture *f, const char *uid, const char *spec_text) {
  _cleanup_free_ char *text =
      str_printf("{'metadata':{'name':'p','namespace':'ns','uid':'%s'},'spec':%s}", uid, spec_text);
  _cleanup_json_ struct json_object *pod = doc(text);
  struct strv base = {0};

  assert_true(strv_setenv(&base, "PATH", "/usr/bin:/bin") && strv_setenv(&base, ORPHAN_MARK, f->id));
  const struct pod_inputs in = {.pod = pod,
                                .pod_ip = "127.99.1.1",
                                .node_ip = "127.0.0.1",
                                .node_name = "n",
                                .base_env = &base,
                                .lookup = no_lookup,
                                .volume = tmp_volume,
                                .arg = f};
  struct pod_spec *spec = pod_spec_build(&in);
  assert_non_null(spec);
  for (size_t i = 0; i < spec->containers.len; i++)
    if (spec->containers.items[i].reason)
      fail_msg("%s", spec->containers.items[i].message);
  strv_fini(&base);
  runner_add(f->runner, spec);
}

/* Waits until the I-th container's status holds WANTED; the report, new. */
static struct json_object *await(struct fixture *f, const char *uid, size_t i, const char *wanted_text) {
  _cleanup_json_ struct json_object *wanted = doc(wanted_text);
  uint64_t until = mono_ms() + DEADLINE_MS;
  char *last = NULL;

  for (;;) {
    pthread_mutex_lock(&f->lock);
    uint64_t seen = f->changes;
    pthread_mutex_unlock(&f->lock);
    bool stopped;
    char *text = runner_report(f->runner, uid, &stopped);
    struct json_object *report = text ? doc(text) : NULL;
    free(last);
    last = text;
    if (report && holds(json_get(json_index(json_get(report, "containers"), i), "status"), wanted)) {
      free(last);
      return report;
    }
    json_unref(report);
    pthread_mutex_lock(&f->lock);
    while (f->changes == seen && mono_ms() < until) {
      struct timespec at;
      (void)clock_gettime(CLOCK_REALTIME, &at);
      at.tv_sec += 1;
      (void)pthread_cond_timedwait(&f->changed, &f->lock, &at);
    }
    pthread_mutex_unlock(&f->lock);
    if (mono_ms() >= until)
      fail_msg("%s is not in %s", wanted_text, last);
  }
}

static void await_event(struct fixture *f, const char *text) {
  uint64_t until = mono_ms() + DEADLINE_MS;

  pthread_mutex_lock(&f->lock);
  while (!strstr(buf_str(&f->events), text) && mono_ms() < until) {
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 1;
    (void)pthread_cond_timedwait(&f->changed, &f->lock, &at);
  }
  bool found = strstr(buf_str(&f->events), text) != NULL;
  pthread_mutex_unlock(&f->lock);
  if (!found)
    fail_msg("no event \"%s\" in: %s", text, buf_str(&f->events));
}

static char *log_of(struct fixture *f, const char *uid, const char *container, int n) {
  _cleanup_free_ char *path = str_printf("%s/logs/ns_p_%s/%s/%d.log", f->dir, uid, container, n);
  struct ome_err err = ERR_INIT;
  char *text = NULL;

  return file_read(path, 1 << 20, &text, NULL, &err) == OME_OK ? text : strdup("");
}

static void await_stopped(struct fixture *f, const char *uid) {
  uint64_t until = mono_ms() + DEADLINE_MS;
  bool stopped = false;

  while (!stopped && mono_ms() < until) {
    free(runner_report(f->runner, uid, &stopped));
    if (!stopped)
      usleep(5000);
  }
  assert_true(stopped);
}

/* ---- tests
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void a_job_runs_to_its_end(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'restartPolicy':'Never','containers':[{'name':'c','image':'x','command':['sh','-c'],"
      "'args':['echo out $WHO; echo err >&2; pwd; printf last; exit 3'],'workingDir':'/tmp',"
      "'env':[{'name':'WHO','value':'me'}]}]}");
  json_unref(
      await(f, "u1", 0, "{'state':{'terminated':{'exitCode':3,'reason':'Error'}},'ready':false,'restartCount':0}"));
  await_stopped(f, "u1");
  _cleanup_free_ char *log = log_of(f, "u1", "c", 0);
  assert_non_null(strstr(log, " stdout F out me\n"));
  assert_non_null(strstr(log, " stderr F err\n"));
  assert_non_null(strstr(log, " stdout F /tmp\n"));
  assert_non_null(strstr(log, " stdout P last\n"));
  await_event(f, "Started: Started container c");
}

static void environments_are_clean(void **state) {
  struct fixture *f = *state;

  assert_int_equal(setenv("OME_TEST_SECRET", "leak", 1), 0);
  add(f, "u1",
      "{'restartPolicy':'Never','containers':[{'name':'c','command':['sh','-c','env; ls -l /proc/self/fd']}]}");
  json_unref(await(f, "u1", 0, "{'state':{'terminated':{'exitCode':0,'reason':'Completed'}}}"));
  _cleanup_free_ char *log = log_of(f, "u1", "c", 0);
  assert_null(strstr(log, "OME_TEST_SECRET"));
  assert_non_null(strstr(log, "HOSTNAME=p"));
  assert_null(strstr(log, "socket:")); /* no descriptor of ours */
}

static void init_containers_come_first(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'restartPolicy':'Never','initContainers':["
      "{'name':'i1','command':['sh','-c','sleep 0.2; echo 1 >> /v/order'],'volumeMounts':[{'name':'v','mountPath':'/v'}]},"
      "{'name':'s','restartPolicy':'Always','command':['sh','-c','echo s >> /v/order; exec sleep 1000'],"
      "'volumeMounts':[{'name':'v','mountPath':'/v'}],"
      "'startupProbe':{'exec':{'command':['test','-f','/v/order']},'periodSeconds':1}},"
      "{'name':'i2','command':['sh','-c','echo 2 >> /v/order'],'volumeMounts':[{'name':'v','mountPath':'/v'}]}],"
      "'containers':[{'name':'c','command':['sh','-c','echo c >> /v/order'],'volumeMounts':[{'name':'v','mountPath':'/v'}]}]}");
  json_unref(await(f, "u1", 3, "{'state':{'terminated':{'exitCode':0}}}"));
  await_stopped(f, "u1"); /* the sidecar ends with the pod */
  _cleanup_free_ char *path = str_printf("%s/order", f->dir);
  _cleanup_free_ char *order = NULL;
  struct ome_err err = ERR_INIT;
  assert_int_equal(file_read(path, 100, &order, NULL, &err), OME_OK);
  assert_string_equal(order, "1\ns\n2\nc\n");
}

static void a_failed_init_container_fails_the_pod(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'restartPolicy':'Never','initContainers':[{'name':'i','command':['false']}],"
      "'containers':[{'name':'c','command':['touch','/v/no'],'volumeMounts':[{'name':'v','mountPath':'/v'}]}]}");
  json_unref(await(f, "u1", 0, "{'state':{'terminated':{'exitCode':1}}}"));
  await_stopped(f, "u1");
  _cleanup_free_ char *path = str_printf("%s/no", f->dir);
  assert_false(file_exists(path));
}

static void crashes_are_restarted_with_back_off(void **state) {
  struct fixture *f = *state;

  add(f, "u1", "{'restartPolicy':'Always','containers':[{'name':'c','command':['sh','-c','echo hi; exit 7']}]}");
  json_unref(await(f, "u1", 0,
                   "{'state':{'waiting':{'reason':'CrashLoopBackOff',"
                   "'message':'back-off 10s restarting failed container=c pod=p_ns(u1)'}},'restartCount':1,"
                   "'lastState':{'terminated':{'exitCode':7,'reason':'Error'}}}"));
  await_event(f, "BackOff: Back-off restarting failed container c");
  _cleanup_free_ char *first = log_of(f, "u1", "c", 0);
  _cleanup_free_ char *second = log_of(f, "u1", "c", 1);
  assert_non_null(strstr(first, "hi"));
  assert_non_null(strstr(second, "hi"));
}

static void what_is_not_installed_is_named(void **state) {
  struct fixture *f = *state;

  add(f, "u1", "{'restartPolicy':'Always','containers':[{'name':'c','command':['no-such-engine','--x']}]}");
  json_unref(
      await(f, "u1", 0,
            "{'state':{'waiting':{'reason':'RunContainerError','message':'command \\u0022no-such-engine\\u0022 is not "
            "installed: not found in PATH (/usr/bin:/bin); install it or give its full path'}}}"));
  await_event(f, "Failed: Error: command \"no-such-engine\" is not installed");
}

static void probes_decide(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'terminationGracePeriodSeconds':1,'containers':[{'name':'c','command':['sh','-c','rm -f /v/ok /v/dead; sleep 0.3; touch /v/ok; "
      "exec sleep 1000'],'volumeMounts':[{'name':'v','mountPath':'/v'}],"
      "'readinessProbe':{'exec':{'command':['test','-f','/v/ok']},'periodSeconds':1,'failureThreshold':1},"
      "'livenessProbe':{'exec':{'command':['test','!','-f','/v/dead']},'periodSeconds':1,'failureThreshold':1}}]}");
  json_unref(await(f, "u1", 0, "{'state':{'running':{}},'ready':false}"));
  json_unref(await(f, "u1", 0, "{'state':{'running':{}},'ready':true}"));
  _cleanup_free_ char *ok = str_printf("%s/ok", f->dir);
  _cleanup_free_ char *dead = str_printf("%s/dead", f->dir);
  assert_int_equal(unlink(ok), 0);
  json_unref(await(f, "u1", 0, "{'state':{'running':{}},'ready':false}"));
  await_event(f, "Unhealthy: Readiness probe failed");
  struct ome_err err = ERR_INIT;
  assert_int_equal(file_write(dead, "", 0, 0644, &err), OME_OK);
  json_unref(await(f, "u1", 0, "{'restartCount':1,'state':{'running':{}},'lastState':{'terminated':{'signal':15}}}"));
  await_event(f, "Killing: Container c failed liveness probe, will be restarted");
}

static void http_and_tcp_probes_ask_the_pod(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'terminationGracePeriodSeconds':1,'containers':["
      "{'name':'web','command':['python3','-m','http.server','--bind','127.99.1.1','18431'],'workingDir':'/usr/share',"
      "'ports':[{'name':'http','containerPort':18431}],"
      "'readinessProbe':{'httpGet':{'path':'/','port':'http'},'periodSeconds':1}},"
      "{'name':'tcp','command':['sleep','1000'],'readinessProbe':{'tcpSocket':{'port':18431},'periodSeconds':1}},"
      "{'name':'lost','command':['sleep','1000'],'readinessProbe':{'httpGet':{'path':'/no-such-thing','port':18431},"
      "'periodSeconds':1}}]}");
  json_unref(await(f, "u1", 0, "{'ready':true}"));
  json_unref(await(f, "u1", 1, "{'ready':true}"));
  await_event(f, "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404");
  json_unref(await(f, "u1", 2, "{'ready':false,'state':{'running':{}}}"));
}

static void stopping_is_graceful_then_forceful(void **state) {
  struct fixture *f = *state;
  uint64_t began;

  add(f, "u1",
      "{'containers':[{'name':'c','command':['sh','-c','trap \\u0022echo bye; exit 0\\u0022 TERM; touch /v/up; "
      "while :; do sleep 0.05; done'],"
      "'readinessProbe':{'exec':{'command':['test','-f','/v/up']}},"
      "'lifecycle':{'preStop':{'exec':{'command':['sh','-c','echo > /v/prestop']}}},"
      "'volumeMounts':[{'name':'v','mountPath':'/v'}]}]}");
  json_unref(await(f, "u1", 0, "{'ready':true}"));
  runner_stop_pod(f->runner, "u1", 10);
  json_unref(await(f, "u1", 0, "{'state':{'terminated':{'exitCode':0,'reason':'Completed'}}}"));
  await_stopped(f, "u1");
  _cleanup_free_ char *prestop = str_printf("%s/prestop", f->dir);
  assert_true(file_exists(prestop));
  add(f, "u2",
      "{'containers':[{'name':'c','command':['sh','-c','trap : TERM; touch /v/up2; while :; do sleep 0.05; done'],"
      "'readinessProbe':{'exec':{'command':['test','-f','/v/up2']}},'volumeMounts':[{'name':'v','mountPath':'/v'}]}]}");
  json_unref(await(f, "u2", 0, "{'ready':true}"));
  began = mono_ms();
  runner_stop_pod(f->runner, "u2", 1);
  json_unref(await(f, "u2", 0, "{'state':{'terminated':{'exitCode':137,'signal':9}}}"));
  assert_in_range(mono_ms() - began, 900, 5000);
}

static void descendants_end_with_their_container(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'restartPolicy':'Never','containers':[{'name':'c','command':['sh','-c','setsid sleep 1234 & "
      "(setsid sh -c \\u0022sleep 1235 & sleep 1236\\u0022 &) ; sleep 0.3; exit 0']}]}");
  json_unref(await(f, "u1", 0, "{'state':{'terminated':{'exitCode':0}}}"));
  assert_int_equal(orphans_kill(f->id), 0);
}

static void a_deadline_ends_the_pod(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'restartPolicy':'Never','activeDeadlineSeconds':1,'containers':[{'name':'c','command':['sleep','1000']}]}");
  struct json_object *report = await(f, "u1", 0, "{'state':{'terminated':{'signal':15}}}");
  assert_holds(report, "{'reason':'DeadlineExceeded'}");
  json_unref(report);
}

static void memory_limits_hold_where_they_can(void **state) {
  struct fixture *f = *state;

  add(f, "u1",
      "{'restartPolicy':'Never','containers':[{'name':'c','resources':{'limits':{'memory':'64Mi'}},"
      "'command':['python3','-c','x = bytearray(400 << 20); print(len(x))']}]}");
  struct json_object *report = await(f, "u1", 0, "{'state':{'terminated':{}}}");
  if (strstr(buf_str(&f->events), "LimitNotEnforced"))
    print_message("no writable memory cgroup here\n");
  else
    assert_holds(json_get(json_index(json_get(report, "containers"), 0), "status"),
                 "{'state':{'terminated':{'reason':'OOMKilled','exitCode':137}}}");
  json_unref(report);
}

/* What `test_local_runner run DIR ID` does: runs a pod, says so, and waits to be killed. */
static int run_until_killed(const char *dir, const char *id) {
  static struct fixture f;
  struct ome_err err = ERR_INIT;

  (void)snprintf(f.dir, sizeof(f.dir), "%s", dir);
  (void)snprintf(f.id, sizeof(f.id), "%s", id);
  pthread_mutex_init(&f.lock, NULL);
  pthread_cond_init(&f.changed, NULL);
  if (http_client_new(&(struct http_client_config){0}, &f.http, &err) != OME_OK)
    return 1;
  runner_begin(&f);
  add(&f, "u1",
      "{'containers':[{'name':'c','command':['sh','-c','setsid sleep 2345 & trap : TERM; sleep 2346 & wait; wait']}]}");
  json_unref(await(&f, "u1", 0, "{'state':{'running':{}}}"));
  (void)!write(STDOUT_FILENO, "x", 1);
  for (;;)
    (void)pause();
}

static int marked(const char *id) {
  char line[64] = "0";
  _cleanup_free_ char *command =
      str_printf("n=0; for e in /proc/[0-9]*/environ; do grep -zqs '^OME_RUN=%s' $e && n=$((n+1)); done; echo $n", id);
  FILE *p = popen(command, "r");

  if (!fgets(line, sizeof(line), p))
    fail_msg("cannot count processes");
  (void)pclose(p);
  return atoi(line);
}

/* A process that runs a pod and is killed without warning: nothing of the pod survives it. */
static void nothing_survives_a_kill(void **state) {
  struct fixture *f = *state;
  char *const argv[] = {(char[]){"test_local_runner"}, (char[]){"run"}, f->dir, f->id, NULL};
  posix_spawn_file_actions_t actions;
  int ends[2];
  char byte;
  pid_t child;

  runner_free(f->runner, 0);
  f->runner = NULL;
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  assert_int_equal(posix_spawn(&child, "/proc/self/exe", &actions, NULL, argv, environ), 0);
  (void)posix_spawn_file_actions_destroy(&actions);
  (void)close(ends[1]);
  assert_int_equal(read(ends[0], &byte, 1), 1);
  (void)close(ends[0]);
  assert_true(marked(f->id) >= 3);
  assert_int_equal(kill(child, SIGKILL), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  for (uint64_t until = mono_ms() + DEADLINE_MS; marked(f->id) > 0; usleep(10000))
    assert_true(mono_ms() < until);
  runner_begin(f); /* and the next run clears away its control groups */
}

/* Shim and ome die together: the next run finds what made sessions of its own. */
static void the_next_run_finds_orphans(void **state) {
  struct fixture *f = *state;
  _cleanup_free_ char *mark = str_printf(ORPHAN_MARK "=%s", f->id);
  pid_t orphan = fork();

  if (orphan == 0) {
    char *const argv[] = {(char[]){"sleep"}, (char[]){"3456"}, NULL}, *const env[] = {mark, NULL};
    (void)execve("/bin/sleep", argv, env);
    _exit(127);
  }
  _cleanup_free_ char *exe = str_printf("/proc/%d/environ", (int)orphan);
  for (uint64_t until = mono_ms() + DEADLINE_MS; mono_ms() < until;) { /* until it is the marked sleep */
    struct ome_err err = ERR_INIT;
    _cleanup_free_ char *text = NULL;
    if (file_read(exe, 4096, &text, NULL, &err) == OME_OK && has_prefix(text, ORPHAN_MARK))
      break;
  }
  runner_free(f->runner, 0);
  runner_begin(f);
  int status = 0;
  assert_int_equal(waitpid(orphan, &status, WNOHANG), orphan);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv) {
  if (argc == 4 && streq(argv[1], "run"))
    return run_until_killed(argv[2], argv[3]);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_job_runs_to_its_end),
      T(environments_are_clean),
      T(init_containers_come_first),
      T(a_failed_init_container_fails_the_pod),
      T(crashes_are_restarted_with_back_off),
      T(what_is_not_installed_is_named),
      T(probes_decide),
      T(http_and_tcp_probes_ask_the_pod),
      T(stopping_is_graceful_then_forceful),
      T(descendants_end_with_their_container),
      T(a_deadline_ends_the_pod),
      T(memory_limits_hold_where_they_can),
      T(nothing_survives_a_kill),
      T(the_next_run_finds_orphans),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
