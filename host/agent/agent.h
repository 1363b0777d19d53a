/* The node agent: brings the models that belong here to this node, keeps them right, tells the cluster. */
#ifndef HOST_AGENT_AGENT_H
#define HOST_AGENT_AGENT_H

#include "kube/client.h"
#include "net/health.h"
#include "plugin/plugin.h"

struct agent;

/* A further store of the node. */
struct agent_store {
  const char *name; /* a DNS label, not "default": "network" */
  const char *dir;
  uint64_t capacity;  /* as store_bytes of the first */
  unsigned high, low; /* as store_high and store_low */
};

struct agent_config {
  struct kube_client *client;
  struct plugins *plugins;
  struct health *health;             /* told of the folder of models; NULL: nobody asks; outlives the agent */
  const char *node_name;             /* NULL: $NODE_NAME, then the host name */
  const char *ome_namespace;         /* NULL: "ome" */
  const char *store_dir;             /* where models live: blobs, ledger, one folder a model */
  uint64_t store_bytes;              /* at most in the store; 0: as the file system has room */
  unsigned store_high, store_low;    /* percent of that: above the first, models go until the second; 0: 90 and 80 */
  const struct agent_store *further; /* stores beside that one, in the order in which models look for room */
  size_t nfurther;
  uint64_t scrub_every_s;       /* until every byte in the store is read again; 0: a day */
  uint64_t max_bytes_in_flight; /* of the models that are fetched at a time, one alone excepted; 0: 64 GiB */
  /* Node to node; PEER_ADDRESS NULL: models come from their origins alone. */
  const char *peer_address;           /* IP that other nodes reach this one at */
  uint16_t peer_port;                 /* 0: any */
  uint64_t peer_max_bytes_per_second; /* given to others; 0: no bound */
  bool no_hub;                        /* nothing for anybody else there: see node_hub.h */
};

int32_t agent_start(const struct agent_config *cfg, struct agent **out, struct ome_err *err);
void agent_stop(struct agent *a);
DEFINE_CLEANUP(struct agent *, agent_stop)

#endif
