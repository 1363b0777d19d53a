/* s3://BUCKET[@REGION]/KEY[?versionId=VERSION] and the addresses behind it.  Pure. */
#ifndef PLUGINS_STORAGE_S3_URI_H
#define PLUGINS_STORAGE_S3_URI_H

#include <stddef.h>

#define S3_MAX_URL 4096

struct s3_uri {
  char bucket[256];
  char region[64]; /* "" none is given */
  char key[1025]; /* of an object, or what the keys of a folder begin with, without the last '/'; "" the whole bucket */
  char version[256]; /* of the object; "" the current one */
  int is_folder;     /* the key ended in '/' */
};

/* 0, or -1 for what is none.  Keys are taken as they are, without percent-decoding, as the AWS tools do. */
int s3_uri_parse(const char *uri, struct s3_uri *out);

enum s3_style { S3_STYLE_AUTO, S3_STYLE_PATH, S3_STYLE_VIRTUAL };
/* "auto", "path", "virtual" (the words of the AWS configuration file's addressing_style); -1: another word. */
int s3_style_parse(const char *word, enum s3_style *out);

/* Address of BUCKET, without trailing '/', into OUT; ENDPOINT is NULL for Amazon's own.  AUTO is virtual-host style
 * there, unless the bucket has dots, which no certificate covers, and path style elsewhere.  -1: ENDPOINT is no http(s)
 * origin, or it does not fit. */
int s3_base_url(const char *endpoint, enum s3_style style, const char *bucket, const char *region, char *out,
                size_t size);

/* The region within an address that s3_base_url() made for Amazon; 0, or -1 where URL is none. */
int s3_region_of(const char *url, char *out, size_t size);

/* Address of the object KEY below BASE, or of its part PART unless that is 0; VERSION may be "".  The query is in the
 * order that signatures ask for.  -1: too long. */
int s3_object_url(const char *base, const char *key, const char *version, unsigned part, char *out, size_t size);

#endif
