/* Where Amazon's credentials come from, in the order of its tools.  Files, environment and the HTTP service are asked
 * here. */
#ifndef PLUGINS_STORAGE_AWS_CREDENTIALS_H
#define PLUGINS_STORAGE_AWS_CREDENTIALS_H

#include <ome/service.h>

#include <stddef.h>
#include <stdint.h>

struct aws_credentials { /* secret; "" access_key: there are none */
  char access_key[160];
  char secret_key[160];
  char session_token[8192]; /* "" none */
  int64_t expires_s;        /* since 1970; 0: never */
};

/* Who asks, and what is set already; texts may be NULL. */
struct aws_sources {
  const struct ome_host *host;
  const struct ome_call *call;
  const char *access_key, *secret_key, *session_token; /* go before everything else */
  const char *profile;                                 /* $AWS_PROFILE, "default" */
  const char *credentials_file, *config_file;
  const char *role_arn, *token_file; /* web identity; the environment's when NULL */
  const char *sts_endpoint;          /* $AWS_ENDPOINT_URL_STS, Amazon's of REGION */
  const char *region;
  const char *metadata_url; /* an address of the instance's metadata service, where it has another; "" is as NULL */
  int no_metadata;          /* leave it alone */
};

/* In this order: SOURCES' own keys, the environment, the profile (its keys, its role), web identity, the container's
 * service, the instance's metadata service (IMDSv2).  OME_OK with an empty access_key where nothing has any.  Fails
 * when a source that was named does not give them; the error names it and nothing secret. */
int32_t aws_credentials_find(const struct aws_sources *sources, struct aws_credentials *out, struct ome_err *err);

/* The region that this is, as the environment, the profile or the instance say; 0, or -1: nothing does. */
int aws_region(const struct aws_sources *sources, char *out, size_t size);

/* A setting of the profile ("region", "s3.addressing_style"); 0, or -1: not set. */
int aws_profile_setting(const struct aws_sources *sources, const char *key, char *out, size_t size);

#endif
