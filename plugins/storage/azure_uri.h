/* az://ACCOUNT/CONTAINER/PATH, the addresses behind it, connection strings.  Pure. */
#ifndef PLUGINS_STORAGE_AZURE_URI_H
#define PLUGINS_STORAGE_AZURE_URI_H

#include <stddef.h>

#define AZURE_MAX_URL 8192
#define AZURE_NAME_TEXT 3073 /* of a blob: 1024 characters, with its end */

struct azure_uri {
  char account[25];
  char suffix[64]; /* "core.windows.net" where the URI has a host; "" */
  char container[64];
  char name[AZURE_NAME_TEXT]; /* of a blob, or what those of a folder begin with, without the last '/'; "" all */
  char version[80];           /* "snapshot=TIME" or "versionid=TIME" of the blob; "" the current one */
  int is_folder;              /* the name ended in '/' */
};

/* az://ACCOUNT[.blob.SUFFIX]/CONTAINER[/NAME][?snapshot=TIME|?versionid=TIME], SUFFIX one of Azure's clouds; 0, or -1
 * for what is none.  Names are taken as they are, without percent-decoding. */
int azure_uri_parse(const char *uri, struct azure_uri *out);

/* TIME as Azure writes it, "2026-01-02T03:04:05.6789012Z". */
int azure_is_time(const char *text);

/* ENDPOINT with "{account}" replaced by ACCOUNT, without '/' at its end; -1: it is no http(s) address, or too long. */
int azure_endpoint(const char *endpoint, const char *account, char *out, size_t size);

/* The address of blob NAME in CONTAINER ("" the container) below ENDPOINT; VERSION as in struct azure_uri, may be "".
 * -1: too long. */
int azure_blob_url(const char *endpoint, const char *container, const char *name, const char *version, char *out,
                   size_t size);

/* Joins QUERY to URL, into OUT; -1: too long. */
int azure_with_query(const char *url, const char *query, char *out, size_t size);

struct azure_connection { /* secret; "" where it is not said */
  char account[25], key[128], sas[2048], endpoint[512];
};

/* "AccountName=...;AccountKey=...;BlobEndpoint=...", as the portal shows it; -1: it is none. */
int azure_connection_parse(const char *text, struct azure_connection *out);

#endif
