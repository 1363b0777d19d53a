/* What the files of the API server share: the server, a request, and how a request is answered. */
#ifndef HOST_APISERVER_SERVER_H
#define HOST_APISERVER_SERVER_H

#include "apiserver/apiserver.h"
#include "apiserver/registry.h"
#include "apiserver/store.h"
#include "base/buf.h"
#include "base/json.h"
#include "net/http_server.h"

#define OBJECT_MAX ((size_t)3 << 20) /* bytes of a request body */

struct watcher;
struct gc;
struct selector;
struct strmap;
struct webhooks;
struct http_client;
struct admission;
struct faults;
struct flusher;

struct apiserver {
  struct loop *loop;
  struct http_server *http;
  struct ssl_ctx_st *tls;
  struct store *store;
  struct registry *registry;
  struct gc *gc;
  char *data_dir, *kubeconfig, *token;
  struct flusher *flusher;
  struct request *held;     /* answers waiting for the commit of their turn */
  struct request *flushing; /* for the disk to have what was committed */
  struct watcher *watchers;
  bool turn_end_wanted;
  uint32_t lone_turns;     /* in a row, that ended with one answer at most */
  struct loop_timer *trim; /* NULL: nothing to give back */
  apiserver_log_fn *logs;
  void *logs_arg;
  bool cluster_network;       /* see struct apiserver_config */
  struct strmap *service_use; /* addresses and node ports of Services; NULL: not read yet */
  struct webhooks *webhooks;  /* NULL: not read yet */
  struct http_client *client; /* for webhooks; NULL: none was needed yet */
  struct faults *faults;      /* NULL: nothing goes wrong on purpose */
  bool stopping;
  int audit; /* descriptor of the audit log; -1: none */
};

enum verb {
  VERB_GET,
  VERB_LIST,
  VERB_WATCH,
  VERB_CREATE,
  VERB_UPDATE,
  VERB_PATCH,
  VERB_DELETE,
  VERB_DELETE_COLLECTION
};

enum form { FORM_OBJECT, FORM_TABLE, FORM_PARTIAL, FORM_PARTIAL_LIST };

enum field_validation { FIELDS_WARN, FIELDS_IGNORE, FIELDS_STRICT };

/* One request on a resource; made by rest.c, gone with its answer. */
struct request {
  struct apiserver *server;
  struct http_exchange *x;
  enum verb verb;
  const struct resource *resource;
  char *ns;   /* "" : cluster scope, or all namespaces */
  char *name; /* "" for collections */
  char *sub;  /* "" for the object itself */
  enum form form;
  bool pretty_yaml; /* Accept: application/yaml */
  bool dry_run;
  enum field_validation field_validation;
  const char *manager; /* fieldManager, or what the user agent says */
  char *manager_text;
  /* What a verb invents: the same when it runs again, see admission.h. */
  int64_t now_ms;                 /* wall time of the request */
  char uid[37];                   /* of the object that it makes */
  char suffix[6];                 /* behind metadata.generateName; "": not needed yet */
  size_t headers;                 /* of the answer that stood before the verb ran */
  struct admission *admission;    /* NULL: nobody was asked */
  struct json_object *duplicates; /* paths of keys that stand twice in the body; NULL: none */
  /* a held answer */
  struct request *next_held;
  int status;
  char *body;
  size_t body_len;
};

/* ---- answers (answer.c) ----------------------------------------------------------------------------------------- */

/* Answers with O in the form that was asked for, after the commit of this turn; takes O.  REQ is gone. */
void answer_object(struct request *req, int status, struct json_object *o);
/* The same with text that is JSON already; takes TEXT. */
void answer_text(struct request *req, int status, char *text, size_t len);
/* Adds a Warning header (RFC 7234 section 5.5). */
void answer_warning(struct request *req, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A metav1.Status failure; REQ is gone.  MESSAGE is formatted. */
void answer_failure(struct request *req, int status, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* {name, group, kind} of what REQ is about, its kind in the plural unless OF_KIND; new. */
struct json_object *details_of(const struct request *req, bool of_kind);
/* Appends to the causes of DETAILS; FIELD NULL: none of a field. */
void details_add_cause(struct json_object *details, const char *reason, const char *message, const char *field);
/* The same with DETAILS; takes them. */
void answer_failure_details(struct request *req, int status, const char *reason, struct json_object *details,
                            const char *message);
void answer_not_found(struct request *req);
/* 422 with one cause an error. */
void answer_invalid(struct request *req, struct field_errors *errors);
/* For errors of our own layers: NO_SPACE 507, BUSY 429, the rest 500. */
void answer_error(struct request *req, const struct ome_err *err);
/* 409 for a resourceVersion that is not the present one. */
void answer_conflict(struct request *req, const char *why);

/* A Status that is no answer to a request on a resource. */
void answer_plain_status(struct http_exchange *x, int status, const char *reason, const char *message);
struct json_object *status_object(int status, const char *reason, const char *message, struct json_object *details);

/* Gives freed memory back to the system in a moment: after large answers. */
void trim_later(struct apiserver *s);
void request_free(struct request *req);
/* Sends ANSWERS, a list by next_held; a failed commit turns them into errors. */
void answer_flush(struct request *answers, const struct ome_err *commit_error);

/* ---- verbs ------------------------------------------------------------------------------------------------------ */

void verb_get(struct request *req);
void verb_list(struct request *req);
void verb_watch(struct request *req);
void verb_create(struct request *req);
void verb_update(struct request *req);
void verb_patch(struct request *req);
void verb_delete(struct request *req);
void verb_delete_collection(struct request *req);
void verb_scale(struct request *req); /* get, update and patch of /scale */
void verb_log(struct request *req);
void verb_review(struct request *req);

/* ---- bodies (body.c); false: answered --------------------------------------------------------------------------- */

/* The media type without parameters into OUT. */
void media_type(const struct request *req, char out[128]);
/* The body by its content type: JSON, YAML, or protobuf of a built-in kind. */
bool read_document(struct request *req, struct json_object **out);
/* The body of a create or update. */
bool read_object(struct request *req, struct json_object **out);
/* Whether O is of the kind and version of the path. */
bool check_kind(struct request *req, struct json_object *o);
/* Name and namespace of O against those of the request. */
bool check_place(struct request *req, struct json_object *o);
/* Built-in kinds are read by type. */
bool decode_builtin(struct request *req, struct json_object *o);
/* Takes out what the schema does not know, as fieldValidation says. */
bool drop_unknown(struct request *req, struct json_object *o);
/* duplicate.c: paths of the keys that stand twice in one object of TEXT, which is JSON that was parsed to DOC: new
 * array of strings, NULL: none. */
struct json_object *json_duplicates(const char *text, size_t len, struct json_object *doc);
/* fields.c: the request's fieldSelector, with labels that the resource offers. */
bool read_field_selector(struct request *req, struct selector **out);

/* ---- shared steps of writes (write.c) --------------------------------------------------------------------------- */

/* Appends a stored TEXT as R's version shows it, or as an item of a list, without apiVersion and kind. */
void splice_object(struct buf *b, const struct resource *r, const char *text, bool bare);
/* What reading R's object does to it: version, and defaults that are younger than it. */
void present(const struct resource *r, struct json_object *o);
/* The stored object, new; NULL: absent. */
struct json_object *load(struct apiserver *s, const struct resource *r, const char *ns, const char *name);
/* Takes O out of the store and lets the collector look at what it owned. */
int32_t remove_object(struct apiserver *s, const struct resource *r, struct json_object *o, struct ome_err *err);
/* Stores O, or takes it out when it was only waiting for its finalizers. */
int32_t store_object(struct apiserver *s, const struct resource *r, struct json_object *o, struct ome_err *err);
/* Marks O as deleted now with GRACE_S; finalizers as they are. */
void mark_deleting(struct json_object *o, int64_t grace_s);
void touch_turn_end(struct apiserver *s);
void commit_now(struct apiserver *s); /* ends the turn early; all that was written is durable then */
/* Whether what is stored is not all durable yet, so that answers are held. */
bool tells_too_early(const struct apiserver *s);

/* ---- the rest --------------------------------------------------------------------------------------------------- */

void rest_handle(void *server, struct http_exchange *x); /* an http_handler */
/* X on its way, known to come from somebody who may ask. */
void rest_dispatch(struct apiserver *s, struct http_exchange *x);
/* Runs the verb of REQ once more, from the start; REQ->resource was looked up anew. */
void request_run_again(struct request *req);
void watch_pump(struct apiserver *s); /* after a commit */
void watch_end_all(struct apiserver *s);

/* discovery.c; whether the path was one of its own. */
bool discovery_handle(struct apiserver *s, struct http_exchange *x);
bool openapi_handle(struct apiserver *s, struct http_exchange *x);

/* table.c: rows of a Table for OBJECTS (array), or of a single object. */
struct json_object *table_make(const struct request *req, struct json_object *list_or_object);
/* The parts of a Table, and of a PartialObjectMetadataList, for lists that are written item by item; new. */
struct json_object *table_row(const struct request *req, struct json_object *o);
struct json_object *table_columns(const struct resource *r);
struct json_object *partial_of(struct json_object *o);
struct json_object *partial_make(struct json_object *list_or_object, bool is_list);

/* service.c: gives O, a Service, an address and ports that no other has. */
void service_complete(struct apiserver *s, struct json_object *o, struct json_object *old, struct field_errors *out);
/* O took the place of OLD in the store; NULL: there is none. */
void service_stored(struct apiserver *s, struct json_object *o, struct json_object *old);

/* gc.c */
int32_t gc_new(struct apiserver *s, struct gc **out, struct ome_err *err);
void gc_free(struct gc *g);
/* O was taken out of the store: what it owned, and owners that waited for it, are looked at. */
void gc_removed(struct gc *g, struct json_object *o);
/* The owner UID is gone, or waits for its dependents. */
void gc_owner_gone(struct gc *g, const char *uid);
/* O was written: are its owners still there; does it hold up an owner's deletion. */
void gc_look(struct gc *g, const struct resource *r, struct json_object *o);

/* namespace.c */
int32_t namespaces_init(struct apiserver *s, struct ome_err *err);
/* Goes on with the deletion of namespace NAME, if it is being deleted. */
void namespace_continue(struct apiserver *s, const char *name);

/* crd.c */
int32_t crds_load(struct apiserver *s, struct ome_err *err);
/* Completes a CRD before it is stored: names accepted, conditions; field errors to OUT. */
void crd_prepare(struct apiserver *s, struct json_object *crd, struct json_object *old, int64_t now_ms,
                 struct field_errors *out);
/* A CRD was stored or taken away. */
void crd_changed(struct apiserver *s, struct json_object *crd);
/* Goes on with the deletion of CRD NAME. */
void crd_continue(struct apiserver *s, const char *name);

/* audit.c; PATH NULL: no log. */
int32_t audit_open(struct apiserver *s, const char *path, struct ome_err *err);
void audit_close(struct apiserver *s);
void audit_request(const struct request *req);

/* kubeconfig.c: CA, certificate, token and kubeconfig below data_dir, made when absent. */
struct tls_pair;
int32_t identity_load(struct apiserver *s, const struct apiserver_config *cfg, struct tls_pair *ca,
                      struct tls_pair *leaf, struct ome_err *err);
int32_t kubeconfig_write(struct apiserver *s, const struct apiserver_config *cfg, const char *ca_pem,
                         struct ome_err *err);

#endif
