// Free memory goes back to the system at once. Otherwise mimalloc keeps it for a second and then until it is next asked for
// some, which for a daemon at rest may be hours. MIMALLOC_PURGE_DELAY still sets another delay: a default gives way to it.
//
// In C, since an option that is set before `main` is a call across languages, and Rust would call that unsafe.

#include <mimalloc.h>

__attribute__((constructor)) static void give_back_at_once(void) {
  mi_option_set_default(mi_option_purge_delay, 0);
}
