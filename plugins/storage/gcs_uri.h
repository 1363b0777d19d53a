/* gs://BUCKET/OBJECT[#GENERATION] and the addresses of the JSON API behind it.  Pure. */
#ifndef PLUGINS_STORAGE_GCS_URI_H
#define PLUGINS_STORAGE_GCS_URI_H

#include <stddef.h>

#define GCS_MAX_URL 8192
#define GCS_NAME_TEXT 1025 /* of an object, with its end */

struct gcs_uri {
  char bucket[223];
  char name[GCS_NAME_TEXT]; /* of an object, or what those of a folder begin with, without the last '/'; "" all */
  char generation[24];      /* of the object; "" the current one */
  int is_folder;            /* the name ended in '/' */
};

/* 0, or -1 for what is none.  Names are taken as they are, without percent-decoding, as Google's tools do. */
int gcs_uri_parse(const char *uri, struct gcs_uri *out);

/* The origin of TEXT, "http(s)://HOST[:PORT]", or HOST[:PORT] as $STORAGE_EMULATOR_HOST has it, which means http; what
 * follows as path is left out where it is that of the API.  -1: it is none. */
int gcs_endpoint_parse(const char *text, char *out, size_t size);

/* The address of object NAME ("" the bucket's objects) below ENDPOINT, with QUERY ("", "?..."); UPLOAD: where it is
 * sent to.  -1: too long. */
int gcs_object_url(const char *endpoint, int upload, const char *bucket, const char *name, const char *query, char *out,
                   size_t size);

#endif
