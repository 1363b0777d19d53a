/* The API resources that the host itself speaks of. */
#ifndef HOST_KUBE_RESOURCE_H
#define HOST_KUBE_RESOURCE_H

#include <stdbool.h>

struct kube_resource {
  const char *group; /* "" for the core group */
  const char *version;
  const char *resource; /* plural, lower case */
  const char *kind;
  bool namespaced;
};

#define KUBE_RESOURCES(X)                                                                                              \
  X(NAMESPACES, "", "v1", "namespaces", "Namespace", false)                                                            \
  X(NODES, "", "v1", "nodes", "Node", false)                                                                           \
  X(PODS, "", "v1", "pods", "Pod", true)                                                                               \
  X(SERVICES, "", "v1", "services", "Service", true)                                                                   \
  X(CONFIGMAPS, "", "v1", "configmaps", "ConfigMap", true)                                                             \
  X(SECRETS, "", "v1", "secrets", "Secret", true)                                                                      \
  X(EVENTS, "", "v1", "events", "Event", true)                                                                         \
  X(SERVICEACCOUNTS, "", "v1", "serviceaccounts", "ServiceAccount", true)                                              \
  X(PVCS, "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true)                                           \
  X(DEPLOYMENTS, "apps", "v1", "deployments", "Deployment", true)                                                      \
  X(REPLICASETS, "apps", "v1", "replicasets", "ReplicaSet", true)                                                      \
  X(CONTROLLERREVISIONS, "apps", "v1", "controllerrevisions", "ControllerRevision", true)                              \
  X(JOBS, "batch", "v1", "jobs", "Job", true)                                                                          \
  X(LEASES, "coordination.k8s.io", "v1", "leases", "Lease", true)                                                      \
  X(ENDPOINTSLICES, "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true)                                 \
  X(CRDS, "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false)                \
  X(MUTATINGWEBHOOKS, "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations",                           \
    "MutatingWebhookConfiguration", false)                                                                             \
  X(VALIDATINGWEBHOOKS, "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations",                       \
    "ValidatingWebhookConfiguration", false)                                                                           \
  X(BASEMODELS, "ome.io", "v1beta1", "basemodels", "BaseModel", true)                                                  \
  X(CLUSTERBASEMODELS, "ome.io", "v1beta1", "clusterbasemodels", "ClusterBaseModel", false)                            \
  X(SERVINGRUNTIMES, "ome.io", "v1beta1", "servingruntimes", "ServingRuntime", true)                                   \
  X(CLUSTERSERVINGRUNTIMES, "ome.io", "v1beta1", "clusterservingruntimes", "ClusterServingRuntime", false)             \
  X(INFERENCESERVICES, "ome.io", "v1beta1", "inferenceservices", "InferenceService", true)                             \
  X(BENCHMARKJOBS, "ome.io", "v1beta1", "benchmarkjobs", "BenchmarkJob", true)                                         \
  X(ACCELERATORCLASSES, "ome.io", "v1beta1", "acceleratorclasses", "AcceleratorClass", false)                          \
  X(FINETUNEDWEIGHTS, "ome.io", "v1beta1", "finetunedweights", "FineTunedWeight", false)

#define KUBE_DECLARE_(id, group, version, resource, kind, namespaced) extern const struct kube_resource KUBE_##id;
KUBE_RESOURCES(KUBE_DECLARE_)
#undef KUBE_DECLARE_

/* "apps/v1" or "v1" into OUT. */
void kube_api_version(const struct kube_resource *r, char out[128]);

#endif
