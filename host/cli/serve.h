/* For commands that run until they are told to stop: their signals, and their memory while nothing happens. */
#ifndef HOST_CLI_SERVE_H
#define HOST_CLI_SERVE_H

#include <stdbool.h>
#include <stdint.h>

/* Dozens of threads that mostly wait share two heaps, so that what one frees another can use.  Before they start. */
void cli_share_heaps(void);
/* Waits until told to stop. What a burst of work left free, a start among them, goes back to the system when it is
 * over. */
void cli_serve(void);

/* Blocks SIGINT and SIGTERM in this and all later threads. */
void cli_signals_block(void);
int cli_signal_wait(void);           /* waits for one of them */
bool cli_signal_within(uint32_t ms); /* the same, for a while */
bool cli_stopping(void);             /* one has come, waited for or not [any-thread] */

#endif
