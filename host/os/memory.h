/* Memory of this process that was needed for a while only. */
#ifndef HOST_OS_MEMORY_H
#define HOST_OS_MEMORY_H

/* Gives back what the heap has free, and the pages of programs and libraries: much of them is run at a start and never
 * again; what is, comes back from the page cache. [any-thread] */
void memory_trim(void);

#endif
