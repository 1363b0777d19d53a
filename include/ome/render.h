/* ome/render.h - three kinds of one shape: deployment, autoscaler, ingress.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * render() says which Kubernetes objects should exist, observe() reads what became of them.  Both are pure: the same
 * request gives the same bytes.  The host applies, prunes, watches and retries.  Documents are UTF-8 JSON;
 * docs/plugin-documents.md describes each.
 */
#ifndef OME_RENDER_H
#define OME_RENDER_H

#include <ome/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OME_KIND_DEPLOYMENT "ome.deployment/1" /* one component: its workload and its Service */
#define OME_KIND_AUTOSCALER "ome.autoscaler/1" /* one component: what owns its replica count */
#define OME_KIND_INGRESS "ome.ingress/1"       /* one service: how it is reached from outside */

struct ome_object_sink { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  int32_t (*object)(struct ome_object_sink *s, struct ome_bytes json); /* one Kubernetes object */
};

struct ome_render_req { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t flags;
  struct ome_bytes service;    /* the InferenceService */
  struct ome_bytes component;  /* "ome.io/component/1": one composed component; absent for ingress */
  struct ome_bytes components; /* array of all of the service's components */
  struct ome_bytes cluster;    /* "ome.io/cluster/1": APIs present, domain, site configuration */
};

enum { /* ome_status.phase */
       OME_PHASE_PENDING = 0,
       OME_PHASE_PROGRESSING = 1,
       OME_PHASE_READY = 2,
       OME_PHASE_FAILED = 3
};

struct ome_status { /* growable; the host allocates and zeroes it, the plugin fills what it knows */
  uint32_t struct_size;
  int32_t phase; /* OME_PHASE_* */
  uint32_t ready;
  uint32_t desired;
  char reason[64];   /* CamelCase, for machines */
  char message[448]; /* one sentence, for people */
  char url[512];     /* where requests go; empty: unknown */
  /* since 1.5, host-owned: of an ingress, every address of the service, {"url", "name"} a push, that of `url` first; a
   * "name" is optional.  NULL: nobody asks. */
  struct ome_object_sink *addresses;
};

struct ome_render_ops { /* growable */
  uint32_t struct_size;
  uint32_t caps;
  /* [serial][no-block][no-io] */
  int32_t (*render)(void *self, const struct ome_call *call, const struct ome_render_req *req,
                    struct ome_object_sink *out, struct ome_err *err);
  /* OBSERVED: JSON array of the objects render() asked for, as the API server has them now, with null for an absent
   * one.  [serial][no-block][no-io] */
  int32_t (*observe)(void *self, const struct ome_call *call, const struct ome_render_req *req,
                     struct ome_bytes observed, struct ome_status *out, struct ome_err *err);
  /* Optional: the API kinds that render() may use, one object {"group","version","kind"} a push; the host reports a
   * missing one by name.  [any-thread][no-io] */
  int32_t (*needs)(void *self, const struct ome_render_req *req, struct ome_object_sink *out, struct ome_err *err);
};

#ifdef __cplusplus
}
#endif
#endif
