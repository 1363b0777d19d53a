/* ome-bind.so: loaded into containers (LD_PRELOAD) so that "every address" means the pod's own.
 *
 * In a cluster each pod has a network of its own and an engine may listen on 0.0.0.0:8080 whatever others do.  Here
 * pods share the machine's loopback, each with an address of its own in 127.0.0.0/8: a bind() to 0.0.0.0 or :: is led
 * to OME_POD_IP.  Programs that are linked statically, or that do not bind through libc, are told the address by
 * status.podIP instead. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int bind_fn(int fd, const struct sockaddr *address, socklen_t len);

__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *address, socklen_t len);

static bind_fn *real_bind(void) {
  static bind_fn *real; /* every thread finds the same */
  void *found = __atomic_load_n((void **)(void *)&real, __ATOMIC_RELAXED);

  if (!found) {
    found = dlsym(RTLD_NEXT, "bind");
    __atomic_store_n((void **)(void *)&real, found, __ATOMIC_RELAXED);
  }
  bind_fn *fn;
  memcpy(&fn, &found, sizeof(fn));
  return fn;
}

static int is_stream_or_datagram(int fd) {
  int type = 0;
  socklen_t len = sizeof(type);

  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && (type == SOCK_STREAM || type == SOCK_DGRAM);
}

/* A socket that takes both families gets the mapped form of the pod's address; one for IPv6 alone is left as it is. */
static int takes_both(int fd) {
  int only = 1;
  socklen_t len = sizeof(only);

  return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 && !only;
}

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* Port 0 is left alone: it is for a connection to somewhere, perhaps out of this machine. */
static void lead_to(union address *to, socklen_t len, struct in_addr pod, int fd) {
  if (to->any.sa_family == AF_INET && len >= sizeof(to->v4)) {
    if (to->v4.sin_addr.s_addr == htonl(INADDR_ANY) && to->v4.sin_port)
      to->v4.sin_addr = pod;
  } else if (to->any.sa_family == AF_INET6 && len >= sizeof(to->v6)) {
    struct in6_addr *a = &to->v6.sin6_addr;
    if (!IN6_IS_ADDR_UNSPECIFIED(a) || !to->v6.sin6_port || !takes_both(fd))
      return;
    a->s6_addr[10] = a->s6_addr[11] = 0xff;
    memcpy(&a->s6_addr[12], &pod, sizeof(pod));
  }
}

int bind(int fd, const struct sockaddr *address, socklen_t len) {
  bind_fn *real = real_bind();
  const char *ip = getenv("OME_POD_IP");
  struct in_addr pod;
  union address to;

  if (!real) {
    errno = ENOSYS;
    return -1;
  }
  if (!ip || inet_pton(AF_INET, ip, &pod) != 1 || !address || len > sizeof(to) || !is_stream_or_datagram(fd))
    return real(fd, address, len);
  memset(&to, 0, sizeof(to));
  memcpy(&to, address, len);
  lead_to(&to, len, pod, fd);
  return real(fd, &to.any, len);
}
