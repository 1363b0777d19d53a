/* The documents that render plugins are given: what docs/plugin-documents.md describes, with every key present. */
#include "internal.h"

#define COMPONENT                                                                                                         \
  "{\"document\":\"ome.io/component/1\",\"component\":\"engine\",\"name\":\"conform-engine\",\"app\":\"conform-engine\"," \
  "\"namespace\":\"default\",\"mode\":\"RawDeployment\",\"labels\":{\"team\":\"blue\"},\"annotations\":{},"               \
  "\"minReplicas\":1,\"maxReplicas\":3,\"autoscaler\":\"hpa\",\"container\":\"ome-container\","                           \
  "\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"}],"                                                   \
  "\"podSpec\":{\"containers\":[{\"name\":\"ome-container\",\"image\":\"example.com/engine:1\","                          \
  "\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]},"                                                                      \
  "\"model\":{\"name\":\"m\",\"kind\":\"ClusterBaseModel\",\"path\":\"/models/m\"},"                                      \
  "\"scaleTarget\":80,\"scaleMetric\":\"cpu\",\"minAvailable\":1}"

const char conform_service[] =
    "{\"apiVersion\":\"ome.io/v1beta1\",\"kind\":\"InferenceService\",\"metadata\":{\"name\":\"conform\","
    "\"namespace\":\"default\",\"labels\":{\"team\":\"blue\"}},\"spec\":{\"engine\":{},\"model\":{\"name\":\"m\"}}}";

const char conform_component[] = COMPONENT;
const char conform_components[] = "[" COMPONENT "]";

const char conform_cluster[] =
    "{\"document\":\"ome.io/cluster/1\",\"domain\":\"cluster.local\",\"omeNamespace\":\"ome\","
    "\"apis\":[\"v1/Service\",\"apps/v1/Deployment\",\"autoscaling/v2/HorizontalPodAutoscaler\","
    "\"networking.k8s.io/v1/Ingress\",\"policy/v1/PodDisruptionBudget\"],"
    "\"config\":{\"ingress\":{\"ingressDomain\":\"example.com\",\"ingressClassName\":\"nginx\"},\"deploy\":{}}}";
