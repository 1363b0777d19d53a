/* Signed requests to one bucket. */
#ifndef PLUGINS_STORAGE_OCI_SESSION_H
#define PLUGINS_STORAGE_OCI_SESSION_H

#include "oci_principal.h"

#define OCI_URL_MAX 8192

struct oci_session {
  struct oci *oci;
  const struct ome_call *call;
  const struct ome_model_ref *ref;
  struct oci_uri at;
  struct oci_identity who;
  char endpoint[400]; /* "https://objectstorage.REGION.DOMAIN" */
  char bucket[1400];  /* ENDPOINT/n/NAMESPACE/b/BUCKET, once oci_session_find() has been called */
  char name[600];     /* "NAMESPACE/BUCKET", for messages */
};

/* Parses the address, identifies the caller, finds the endpoint. */
int32_t oci_session_init(struct oci_session *s, struct ome_err *err);
void oci_session_fini(struct oci_session *s);
/* Finds the namespace where the address does not say it. */
int32_t oci_session_find(struct oci_session *s, struct ome_err *err);

/* The address of object NAME; FOLDER is "o" or, for uploads in parts, "u".  -1: too long. */
int oci_object_url(const struct oci_session *s, const char *folder, const char *name, char *out, size_t size);

/* Signs METHOD URL (BODY may be NULL) as of now. */
int32_t oci_session_sign(struct oci_session *s, const char *method, const char *url, const char *body,
                         struct oci_signed *out, struct ome_err *err);

/* Any status is OME_OK. */
int32_t oci_ask(struct oci_session *s, const char *method, const char *url, struct http_answer *a, struct ome_err *err);

/* The error for a status that is none of success. */
int32_t oci_refused(const struct oci_session *s, const struct http_answer *a, const char *what, struct ome_err *err);

/* Milliseconds that what is signed now may be used for. */
uint64_t oci_session_life_ms(const struct oci_session *s);

#endif
