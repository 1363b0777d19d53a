/* What libcurl's AWS SigV4 signing leaves to its caller (7.88: it signs the query and the headers as they are). */
#ifndef HOST_NET_SIGV4_H
#define HOST_NET_SIGV4_H

#include <stddef.h>

/* URL with its query in the canonical order: by name, then value, bytewise, each with a '='; new, NULL: out of memory.
 * (Create a canonical request, step 3, of the AWS SigV4 reference.)  What is percent-encoded stays as it is. */
char *sigv4_url(const char *url);

/* "x-amz-content-sha256: HEX" of BODY (may be NULL), which S3 asks for; new. */
char *sigv4_content_header(const void *body, size_t len);

/* Whether SPEC, "aws:amz:REGION:SERVICE", is for SERVICE. */
int sigv4_is_service(const char *spec, const char *service);

#endif
