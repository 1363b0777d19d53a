/* Shared access signatures of the Blob service: who has one may do what it says, until it ends.  No I/O. */
#ifndef PLUGINS_STORAGE_AZURE_SAS_H
#define PLUGINS_STORAGE_AZURE_SAS_H

#include <stddef.h>
#include <time.h>

#define AZURE_VERSION "2020-12-06" /* of the REST API; it decides what is signed */
#define AZURE_SAS_TEXT 2560

struct azure_sas {
  const char *account, *container;
  const char *blob;        /* "" all of the container */
  const char *version;     /* of the blob: "snapshot=TIME", "versionid=TIME", "" */
  const char *permissions; /* in Azure's order: "rl", "rcwl" */
  time_t expires;
};

/* What is signed (service SAS of AZURE_VERSION); -1: too long. */
int azure_sas_string(const struct azure_sas *s, char *out, size_t size);

/* The query that carries the signature made with KEY, an account's key in base64; secret.  -1: KEY is none, or it does
 * not fit. */
int azure_sas_make(const struct azure_sas *s, const char *key, char *out, size_t size);

/* A query of SAS that somebody else made, without '?' before it; -1: it is none, or does not fit. */
int azure_sas_take(const char *text, char *out, size_t size);

#endif
