/* oras://REGISTRY[:PORT]/REPOSITORY[:TAG][@DIGEST] */
#ifndef PLUGINS_STORAGE_ORAS_URI_H
#define PLUGINS_STORAGE_ORAS_URI_H

#define ORAS_DIGEST_TEXT 72 /* "sha256:", 64 digits and the end */

struct oras_uri {
  char registry[262]; /* host[:port], as the address says it */
  char repository[256];
  char reference[129]; /* tag, or digest */
  int is_digest;
};

/* REVISION (may be NULL) is a tag or digest that replaces the address's; without any: "latest".  The grammar is the OCI
 * distribution specification's, v1.1 §"Pulling manifests".  -1: it is none.  Pure. */
int oras_uri_parse(const char *uri, const char *revision, struct oras_uri *out);

/* "sha256:" and 64 lower-case hex digits. */
int oras_is_digest(const char *text);

#endif
