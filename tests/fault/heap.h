/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator for fault tests, put under the product by heap_install: it counts live blocks, fills
 * fresh and freed memory with a byte, and fails on order. Thread-safe. Fresh memory has one fill,
 * freed memory its complement, so what is read too early or too late shows. */
#ifndef LAMINA_TESTS_FAULT_HEAP_H
#define LAMINA_TESTS_FAULT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before any other use of the library. `fill`: of fresh bytes. */
void heap_install(uint8_t fill);
/* Only while no block is live or when the difference is wanted. */
void heap_set_fill(uint8_t fill);
/* Fills only the ends of large blocks. */
void heap_set_lazy(bool on);
/* Counts allocations from 1 again and fails the `nth` and the `count` - 1 after it; `nth` 0: none
 * fails. */
void heap_arm(uint64_t nth, uint64_t count);
/* Allocations and growths since heap_arm, and how many of them failed. */
uint64_t heap_seen(void);
uint64_t heap_failed(void);
/* Blocks that are out, and their bytes. */
uint64_t heap_live(void);
uint64_t heap_live_bytes(void);
/* Number of the last block made, and who made the live ones after such a number (addresses for
 * addr2line). */
uint64_t heap_serial(void);
void heap_print_since(uint64_t serial);

/* Told of each allocation, before it is done; `fails`: it will fail. NULL: nobody. For counting
 * call sites; must not allocate through the product. */
typedef void (*heap_observer)(bool fails);
void heap_observe(heap_observer fn);

#endif
