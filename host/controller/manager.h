/* Who the controller is to the API server. */
#ifndef HOST_CONTROLLER_MANAGER_H
#define HOST_CONTROLLER_MANAGER_H

#define CONTROLLER_MANAGER "ome-controller" /* field manager of its server-side applies */

#endif
