/* Credential plugins: client.authentication.k8s.io ExecCredential, v1 and v1beta1. */
#include "kube/config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/vec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#define EXEC_TIMEOUT_MS 30000
#define EXEC_MAX_OUTPUT ((size_t)1 << 20)

extern char **environ;

typedef VEC(char *) string_list;

static void string_list_fini(string_list *l) {
  for (size_t i = 0; i < l->len; i++)
    free(l->items[i]);
  VEC_FREE(l);
}

static bool add(string_list *l, char *s) {
  if (s && VEC_PUSH(l, s))
    return true;
  free(s);
  return false;
}

static bool make_argv(struct json_object *exec, string_list *argv) {
  struct json_object *args = json_at(exec, "args");
  bool ok = add(argv, strdup(json_str(exec, "command", "")));

  for (size_t i = 0; ok && i < json_len(args); i++)
    ok = add(argv, strdup(json_object_get_string(json_index(args, i))));
  return ok && VEC_PUSH(argv, NULL);
}

static bool make_env(struct json_object *exec, string_list *env) {
  struct json_object *more = json_at(exec, "env");
  bool ok = true;

  for (char **e = environ; ok && *e; e++)
    ok = add(env, strdup(*e));
  for (size_t i = 0; ok && i < json_len(more); i++)
    ok = add(env, str_printf("%s=%s", json_str(json_index(more, i), "name", ""),
                             json_str(json_index(more, i), "value", "")));
  ok = ok && add(env, str_printf("KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\","
                                 "\"spec\":{\"interactive\":false}}",
                                 json_str(exec, "apiVersion", "client.authentication.k8s.io/v1")));
  return ok && VEC_PUSH(env, NULL);
}

/* Reads FD to its end or the deadline. */
static int32_t read_output(int fd, struct buf *out, struct ome_err *err) {
  uint64_t deadline = mono_ms() + EXEC_TIMEOUT_MS;

  for (;;) {
    char chunk[4096];
    struct pollfd p = {fd, POLLIN, 0};
    uint64_t now = mono_ms();
    if (now >= deadline || poll(&p, 1, (int)(deadline - now)) == 0)
      return fail(err, OME_E_DEADLINE, "credential plugin: no answer within %d s", EXEC_TIMEOUT_MS / 1000);
    ssize_t n = TEMP_FAILURE_RETRY(read(fd, chunk, sizeof(chunk)));
    if (n < 0)
      return fail_errno(err, "read", "credential plugin");
    if (n == 0)
      return OME_OK;
    buf_add(out, chunk, (size_t)n);
    if (!buf_ok(out))
      return fail(err, OME_E_INVALID, "credential plugin: its answer is too long");
  }
}

static int32_t run(struct json_object *exec, struct buf *out, struct ome_err *err) {
  _cleanup_(string_list_fini) string_list argv = {0};
  _cleanup_(string_list_fini) string_list env = {0};
  posix_spawn_file_actions_t actions;
  int ends[2];
  pid_t pid;
  int status = 0;

  if (!make_argv(exec, &argv) || !make_env(exec, &env))
    return fail_memory(err);
  if (pipe2(ends, O_CLOEXEC) != 0)
    return fail_errno(err, "pipe", argv.items[0]);
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  errno = posix_spawnp(&pid, argv.items[0], &actions, NULL, argv.items, env.items);
  (void)posix_spawn_file_actions_destroy(&actions);
  (void)close(ends[1]);
  if (errno) {
    (void)close(ends[0]);
    return fail_errno(err, "run credential plugin", argv.items[0]);
  }
  int32_t rc = read_output(ends[0], out, err);
  (void)close(ends[0]);
  if (rc != OME_OK)
    (void)kill(pid, SIGKILL);
  (void)TEMP_FAILURE_RETRY(waitpid(pid, &status, 0));
  if (rc == OME_OK && status != 0)
    rc = fail(err, OME_E_DENIED, "credential plugin: %s failed with status %d", argv.items[0],
              WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return rc;
}

static char *take(struct json_object *o, const char *path) {
  const char *s = json_str(o, path, NULL);

  return s ? strdup(s) : NULL;
}

int32_t kube_config_exec(const struct kube_config *c, char **token, char **cert_pem, char **key_pem,
                         int64_t *expires_ms, struct ome_err *err) {
  struct buf out;
  _cleanup_json_ struct json_object *answer = NULL;

  buf_init(&out, EXEC_MAX_OUTPUT);
  int32_t rc = run(c->exec, &out, err);
  if (rc == OME_OK)
    rc = json_parse(buf_str(&out), out.len, EXEC_MAX_OUTPUT, &answer, err);
  buf_fini(&out);
  if (rc != OME_OK)
    return fail_prefix(err, "kubeconfig");
  *token = take(answer, "status.token");
  *cert_pem = take(answer, "status.clientCertificateData");
  *key_pem = take(answer, "status.clientKeyData");
  if (!time_parse(json_str(answer, "status.expirationTimestamp", NULL), expires_ms))
    *expires_ms = 0;
  if (!*token && !*cert_pem)
    return fail(err, OME_E_DENIED, "kubeconfig: the credential plugin gave neither token nor certificate");
  return OME_OK;
}
