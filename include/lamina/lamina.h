/* SPDX-License-Identifier: Apache-2.0
 *
 * Lamina: an embedded database for many users' rows. This header includes all the others.
 *
 *   error.h    result codes and explanations
 *   env.h      files, clock, background work; the in-memory environment
 *   options.h  how to open, write and read
 *   event.h    callbacks: events and log lines
 *   stats.h    statistics, sizes and counts
 *   db.h       the storage engine: partitions, batches, snapshots, iterators
 *   txn.h      optimistic transactions, batches that can be read
 *   backup.h   checkpoints and backups of whole databases
 *   check.h    verification of whole databases
 *   inspect.h  what is in one file of a database
 *   catalog.h  users and passwords
 *   sql.h      sessions, prepared statements, results
 *   arrow.h    results as Arrow batches
 *   entity.h   typed records with indexes, without SQL */
#ifndef LAMINA_LAMINA_H
#define LAMINA_LAMINA_H

#include "lamina/arrow.h"
#include "lamina/backup.h"
#include "lamina/catalog.h"
#include "lamina/check.h"
#include "lamina/db.h"
#include "lamina/entity.h"
#include "lamina/env.h"
#include "lamina/error.h"
#include "lamina/event.h"
#include "lamina/inspect.h"
#include "lamina/options.h"
#include "lamina/sql.h"
#include "lamina/stats.h"
#include "lamina/txn.h"
#include "lamina/types.h"

#endif
