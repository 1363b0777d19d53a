/* From a pod's document to what is started: command lines, environment, probes.  Pure: what comes from other objects
 * is asked of the caller. */
#ifndef HOST_LOCAL_PODSPEC_H
#define HOST_LOCAL_PODSPEC_H

#include "base/json.h"
#include "base/vec.h"

/* ---- vectors of strings ----------------------------------------------------------------------------------------- */

struct strv { /* ITEMS is NULL-terminated once something is in it */
  char **items;
  size_t len;
};
bool strv_add(struct strv *v, char *s); /* takes S; false when S is NULL or memory ran out */
void strv_fini(struct strv *v);
/* "NAME=value": replaces the one of that name. */
bool strv_setenv(struct strv *v, const char *name, const char *value);
const char *strv_getenv(const struct strv *v, const char *name); /* NULL: absent */

/* ---- what a container is started with ---------------------------------------------------------------------------- */

enum action_kind { ACTION_NONE, ACTION_EXEC, ACTION_HTTP, ACTION_TCP };

struct action { /* of a probe or a lifecycle hook */
  enum action_kind kind;
  struct strv argv;    /* EXEC */
  char *url;           /* HTTP */
  struct strv headers; /* HTTP */
  char *host;          /* TCP: an IP address */
  uint16_t port;       /* TCP */
};

struct probe {
  struct action action;
  uint32_t initial_delay_s, period_s, timeout_s, success, failure;
};

enum container_role { CONTAINER_INIT, CONTAINER_SIDECAR, CONTAINER_MAIN };

struct container_spec {
  char *name;
  char *image;
  enum container_role role;
  struct strv argv; /* empty with a REASON */
  struct strv env;
  char *dir; /* NULL: "/" */
  struct probe startup, readiness, liveness;
  struct action pre_stop, post_start;
  int64_t memory_bytes, cpu_milli; /* limits; 0: none */
  bool log_fallback;               /* terminationMessagePolicy: FallbackToLogsOnError */
  /* From an earlier run of ome, as JSON text; NULL: nothing. */
  int64_t restarts;
  char *last_state; /* v1.ContainerState that lastState shows */
  char *final;      /* the v1.ContainerStatus of a container that is not started again */
  /* Why it cannot be started at all; NULL: it can. */
  char *reason;
  char *message;
};

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

struct pod_spec {
  char *ns, *name, *uid;
  char *ip;
  enum restart_policy restart;
  int64_t grace_s;
  int64_t deadline_s;                    /* activeDeadlineSeconds; 0: none */
  VEC(struct container_spec) containers; /* init containers and sidecars first, in their order */
};

void container_spec_fini(struct container_spec *c);
void pod_spec_free(struct pod_spec *p);
DEFINE_CLEANUP(struct pod_spec *, pod_spec_free)

/* ---- how it is made ---------------------------------------------------------------------------------------------- */

/* A path that a container believes in and where it really is. */
struct mount_map {
  char *inside;
  char *real;
};
struct mount_maps {
  VEC(struct mount_map) list;
};
void mount_maps_fini(struct mount_maps *m);

struct pod_inputs {
  struct json_object *pod; /* status.podIP and status.hostIP are filled in from POD_IP and NODE_IP */
  const char *pod_ip, *node_ip, *node_name;
  struct json_object *node;     /* for resourceFieldRef without a limit; may be NULL */
  struct json_object *services; /* array: of the pod's namespace, with addresses; may be NULL */
  const struct strv *base_env;  /* what every container gets: PATH, HOME, LANG */
  /* ConfigMap or Secret of the pod's namespace: 1 and *OUT (new), 0 when it is not there, negative: ask again. */
  int (*lookup)(void *arg, const char *kind, const char *name, struct json_object **out);
  /* Where SUB ("": itself) of the volume NAME is, made when absent; NULL: there is no such volume.  New. */
  char *(*volume)(void *arg, const char *name, const char *sub);
  void *arg;
};

/* NULL when memory ran out.  What is wrong with one container is said in its REASON. */
struct pod_spec *pod_spec_build(const struct pod_inputs *in);

/* "$(VAR)" from ENV; "$$" is "$"; an unknown variable stays as it is.  New. */
char *expand_variables(const char *text, const struct strv *env);
/* Every whole occurrence of a path below a mount's inside path, replaced by the real one.  New. */
char *rewrite_paths(const char *text, const struct mount_maps *maps);
/* fieldRef: metadata.*, spec.*, status.* of the downward API; NULL: not supported.  New. */
char *field_value(struct json_object *pod, const char *path);
/* resourceFieldRef: limits or requests of a container, divided by the divisor, rounded up; NULL: no such. New. */
char *resource_value(struct json_object *pod, struct json_object *node, const char *container, struct json_object *ref);
/* "NAME_SERVICE_HOST", "NAME_SERVICE_PORT", ... of SERVICES into ENV. */
void service_variables(struct json_object *services, struct strv *env);

#define SERVICE_ADDRESS_ANNOTATION "local.ome.io/address"

#endif
