/* Requests as the HTTP server reads them: the bytes go through a real connection, pipelined requests and all; the
 * handler looks at everything that it can. */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(void *arg, struct http_exchange *x) {
  size_t len;

  (void)arg;
  for (size_t i = 0; i < http_header_count(x); i++)
    (void)http_header(x, http_header_at(x, i).name);
  (void)http_query(x, "a");
  (void)http_body(x, &len);
  http_respond(x, 200, "text/plain", http_path(x), len ? 1 : 0);
}

static struct http_server *server(void) {
  static struct http_server *s;
  static struct loop *l;
  const struct http_server_config cfg = {.handler = handle, .max_body = 4096};
  struct ome_err err = ERR_INIT;

  if (!s && (loop_new("fuzz", &l, &err) != OME_OK || http_server_new(l, &cfg, &s, &err) != OME_OK))
    abort();
  return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char answer[4096];

  if (size > 65536)
    return 0;
  to.sin_port = htons(http_server_port(server()));
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
    return 0;
  (void)send(fd, data, size, MSG_NOSIGNAL);
  (void)shutdown(fd, SHUT_WR);
  while (read(fd, answer, sizeof(answer)) > 0) /* until the server has seen the end */
    continue;
  return 0;
}
