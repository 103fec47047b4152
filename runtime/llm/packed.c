/*
 * packed.c: reads and writes packed weights.
 *
 * Bytes are read into the huge pages that packing fills as well, by all threads: mapped from the file they
 * mostly lie on small pages, and tokens are generated some per cent more slowly ever after.  But where memory is
 * slow to come, as in a virtual machine that gives what is free back to its host, reading takes ten times as long, so
 * what is left is mapped then.  Either way each thread sums its part: every byte is checked.
 *
 * A new file is begun with the first matrix that had to be packed, each is written as soon as it
 * is packed, and the disk has time to take it meanwhile.
 */
#include "packed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../draft.h"
#include "../engine.h"
#include "../error.h"
#include "../matmul.h"
#include "../pages.h"
#include "gguf.h"

enum {
	N_LANES = 8,
	ALIGN = 4096,         /* of a matrix in the file */
	HUGE_ALIGN = 2 << 20, /* of a large one; what lies between takes no room on the disk */
	GRACE_NS = 20000000,
	CHUNK_BYTES =
		2 << 20, /* of a thread's turn: two threads seldom touch a new huge page at once */
	PIECE_BYTES = 1 << 18, /* of a read: what the second-level cache holds when it is summed */
	MAX_NAME = 64,
	MAX_PATH = 4096,
	SAMPLE_K = 768, /* whole blocks of every type, but not of five ternary codes a byte */
	MAX_WAYS = 16
};

/* All little-endian, as GGUF is. */
struct head {
	char magic[8];                /* with the version */
	uint64_t fingerprint, source; /* of the model; of its files' sizes and times of change */
	uint64_t n_bytes;             /* of the whole file */
	uint32_t n_entries, entry_bytes;
	uint64_t sum; /* of the fields above, then of the entries, which follow */
};

struct entry {
	char name[MAX_NAME], format[16];
	int64_t m, k;
	uint32_t type, order, adjacent, signed_codes, vector_bytes, panel_rows;
	uint64_t panel_bytes, n_panels;
	uint64_t way;         /* sum of the sample, packed */
	uint64_t offset, sum; /* of its bytes in the file */
};

static const char magic[8] = "QUERNP1";

/* How this library packs weights of a type for a kernel. */
struct way {
	int type;
	const struct qn_kernel *kernel;
	uint64_t sum;
};

struct qn_packed {
	struct qn_packed_model model;
	uint64_t source;
	size_t n_tensors;
	char path[MAX_PATH];

	int fd; /* of the file that was found, or -1 */
	uint64_t n_bytes, n_read;
	uint64_t cpu_ns; /* of all threads, that reading took */
	int maps, is_missed;
	struct entry *found;
	uint32_t n_found;

	struct entry *entries; /* of the matrices so far, [n_tensors] */
	const struct quern_matrix **matrices;
	size_t n, n_written;

	struct qn_draft draft;
	int is_begun, is_failed;
	uint64_t n_new_bytes;
	struct quern_error error;

	struct way ways[MAX_WAYS];
	int n_ways;
};

/* ---- sums ---- */

/* Fletcher's sum in eight lanes of 64 bits, which any instruction set adds in vectors. */
struct sum {
	uint64_t a[N_LANES], b[N_LANES];
};

/* n is a multiple of the lanes' bytes but for the last bytes of all. */
static void add_to_sum(struct sum *sum, const uint8_t *p, size_t n)
{
	struct sum s = *sum;
	uint64_t words[N_LANES] = {0};
	size_t i = 0;

	for (; n - i >= sizeof words; i += sizeof words) {
		memcpy(words, p + i, sizeof words);
		for (int lane = 0; lane < N_LANES; lane++) {
			s.a[lane] += words[lane];
			s.b[lane] += s.a[lane];
		}
	}
	if (i < n) {
		memset(words, 0, sizeof words);
		memcpy(words, p + i, n - i);
		for (int lane = 0; lane < N_LANES; lane++) {
			s.a[lane] += words[lane];
			s.b[lane] += s.a[lane];
		}
	}
	*sum = s;
}

/* One number of a sum; index is that of a chunk, so that chunks may be added in any order. */
static uint64_t fold_sum(const struct sum *sum, uint64_t index)
{
	uint64_t h = 0xcbf29ce484222325u ^ index;

	for (int lane = 0; lane < N_LANES; lane++) {
		h = (h ^ sum->a[lane]) * 0x9e3779b97f4a7c15u;
		h = (h ^ h >> 32 ^ sum->b[lane]) * 0x94d049bb133111ebu;
		h ^= h >> 29;
	}
	return h;
}

static uint64_t sum_bytes(const void *data, size_t n, uint64_t index)
{
	struct sum sum = {{0}, {0}};

	add_to_sum(&sum, data, n);
	return fold_sum(&sum, index);
}

static uint64_t sum_head(const struct head *head, const struct entry *entries)
{
	return sum_bytes(head, offsetof(struct head, sum), 0) +
	       sum_bytes(entries, head->n_entries * sizeof *entries, 1);
}

/* ---- what it was packed of ---- */

/*
 * The fingerprint takes few bytes of a tensor, and a file may differ elsewhere: in one row of its embeddings, or where
 * a download was damaged and repeated.  So its time of change has to be the same as well; a copy that did
 * not keep it is packed once more, which is slow and never wrong.
 */
static uint64_t sum_source(const struct qn_packed_model *model)
{
	uint64_t sum = 0;

	for (int i = 0; i < model->n_files; i++) {
		const struct quern_gguf *file = model->files[i];
		const uint64_t about[] = {file->map_bytes, (uint64_t)file->changed.tv_sec,
					  (uint64_t)file->changed.tv_nsec};

		sum += sum_bytes(about, sizeof about, (uint64_t)i);
	}
	return sum;
}

/* ---- how it was packed ---- */

/*
 * Packs some rows of fixed bytes as this library does for a kernel: one that decodes or packs otherwise, now or in another
 * version, gives another sum.  0: it could not.
 */
static uint64_t pack_sample(struct quern_engine *engine, const struct quern_matrix *matrix,
			    int type)
{
	struct quern_weights weights = {.size = sizeof weights,
					.type = type,
					.m = matrix->kernel->layout.panel_rows + 1,
					.k = SAMPLE_K,
					.kernel = matrix->kernel->name,
					.act = qn_format_acts[matrix->what.act]};
	const size_t room = (size_t)(weights.m * weights.k) * sizeof(float);
	struct quern_matrix *sample = NULL;
	uint8_t *data = malloc(room);
	uint64_t state = 1, sum = 0;

	for (size_t i = 0; data && i < room; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(state >> 56);
		if ((data[i] & 0x7c) == 0x7c) /* no scale is infinite or no number */
			data[i] ^= 0x40;
	}
	weights.data = data;
	if (data && quern_pack(engine, &sample, &weights, NULL) == 0)
		sum = sum_bytes(sample->packed, qn_matrix_bytes(sample), 0) | 1;
	quern_free(sample);
	free(data);
	return sum;
}

static uint64_t find_way(struct qn_packed *p, const struct quern_matrix *matrix, int type)
{
	struct way way = {type, matrix->kernel, 0};

	for (int i = 0; i < p->n_ways; i++) {
		if (p->ways[i].type == type && p->ways[i].kernel == matrix->kernel)
			return p->ways[i].sum;
	}
	way.sum = pack_sample(p->model.engine, matrix, type);
	if (p->n_ways < MAX_WAYS)
		p->ways[p->n_ways++] = way;
	return way.sum;
}

/* All but where its bytes are. */
static struct entry describe(struct qn_packed *p, const struct quern_matrix *matrix,
			     const char *name, int type)
{
	const struct qn_layout *layout = &matrix->kernel->layout;
	struct entry entry = {.m = matrix->m,
			      .k = matrix->k,
			      .type = (uint32_t)type,
			      .order = layout->order,
			      .adjacent = layout->adjacent,
			      .signed_codes = layout->signed_codes,
			      .vector_bytes = layout->vector_bytes,
			      .panel_rows = layout->panel_rows,
			      .panel_bytes = matrix->panel_bytes,
			      .n_panels = (uint64_t)matrix->n_panels,
			      .way = find_way(p, matrix, type)};

	snprintf(entry.name, sizeof entry.name, "%s", name);
	snprintf(entry.format, sizeof entry.format, "%s", qn_formats[matrix->kernel->format].name);
	return entry;
}

/* ---- reading ---- */

/* All n bytes at an offset; -1: there are not so many. */
static int read_all(int fd, void *data, size_t n, uint64_t offset)
{
	uint8_t *p = data;

	while (n > 0) {
		const ssize_t n_read = pread(fd, p, n, (off_t)offset);

		if (n_read == 0 || (n_read < 0 && errno != EINTR))
			return -1;
		if (n_read > 0) {
			p += n_read;
			n -= (size_t)n_read;
			offset += (uint64_t)n_read;
		}
	}
	return 0;
}

static int check_head(const struct qn_packed *p, const struct head *head)
{
	struct stat status;

	return fstat(p->fd, &status) == 0 && S_ISREG(status.st_mode) &&
			       !memcmp(head->magic, magic, sizeof magic) &&
			       head->fingerprint == p->model.fingerprint &&
			       head->source == p->source &&
			       head->n_bytes == (uint64_t)status.st_size &&
			       head->entry_bytes == sizeof(struct entry) && head->n_entries > 0 &&
			       head->n_entries <= p->n_tensors
		       ? 0
		       : -1;
}

/* Reads the head of the file that is there; of one that does not fit nothing is found. */
static void read_head(struct qn_packed *p)
{
	struct head head;

	p->fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (p->fd < 0 || read_all(p->fd, &head, sizeof head, 0) || check_head(p, &head))
		return;
	p->found = calloc(head.n_entries, sizeof *p->found);
	if (!p->found ||
	    read_all(p->fd, p->found, head.n_entries * sizeof *p->found, sizeof head) ||
	    head.sum != sum_head(&head, p->found))
		return;
	p->n_bytes = head.n_bytes;
	p->n_found = head.n_entries;
}

struct reading {
	uint8_t *bytes;
	int fd; /* -1: they are there and only summed */
	uint64_t offset;
	size_t n_bytes;
	_Atomic size_t next; /* chunk */
	_Atomic uint64_t sum, cpu_ns;
	_Atomic int failed;
};

/* Of this thread: time that it waits for a disk or for others is no part. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_chunk(struct reading *r, size_t chunk)
{
	const size_t first = chunk * CHUNK_BYTES, left = r->n_bytes - first;
	const size_t end = first + (left < CHUNK_BYTES ? left : CHUNK_BYTES);
	struct sum sum = {{0}, {0}};

	for (size_t at = first, n; at < end; at += n) {
		n = end - at < PIECE_BYTES ? end - at : PIECE_BYTES;
		if (r->fd >= 0 && read_all(r->fd, r->bytes + at, n, r->offset + at)) {
			atomic_store(&r->failed, 1);
			return;
		}
		add_to_sum(&sum, r->bytes + at, n);
	}
	atomic_fetch_add(&r->sum, fold_sum(&sum, chunk));
}

static void read_thread(void *arg, int thread, int n_threads)
{
	struct reading *r = arg;
	const uint64_t start = cpu_ns();
	size_t chunk;

	(void)thread;
	(void)n_threads;
	while ((chunk = atomic_fetch_add(&r->next, 1)) * CHUNK_BYTES < r->n_bytes)
		read_chunk(r, chunk);
	atomic_fetch_add(&r->cpu_ns, cpu_ns() - start);
}

/* With all threads; 1: these are the bytes of the entry. */
static int read_and_check(struct qn_packed *p, const struct entry *entry, int is_mapped,
			  uint8_t *bytes, size_t n_bytes)
{
	struct quern_engine *engine = p->model.engine;
	struct reading r = {.bytes = bytes,
			    .fd = is_mapped ? -1 : p->fd,
			    .offset = entry->offset,
			    .n_bytes = n_bytes};

	pthread_mutex_lock(&engine->lock);
	qn_pool_run(qn_lane_wider(engine->lanes)->pool, read_thread, &r);
	pthread_mutex_unlock(&engine->lock);
	if (!is_mapped) {
		p->n_read += n_bytes;
		p->cpu_ns += r.cpu_ns;
	}
	return !r.failed && r.sum == entry->sum;
}

/*
 * Was it slower so far than 4 GB/s and than 2 GB/s a thread?  Zeroing and copying alone are twice as fast on a machine of
 * today, and memory that comes from a host is four times slower.
 */
static int is_slow(const struct qn_packed *p)
{
	const int n_threads = qn_lane_wider(p->model.engine->lanes)->n_threads;
	const uint64_t n = n_threads > 2 ? (uint64_t)n_threads : 2;

	return p->maps || p->cpu_ns > n * GRACE_NS + p->n_read / 4 * n;
}

static const struct entry *find_entry(const struct qn_packed *p, const struct entry *like)
{
	for (uint32_t i = 0; i < p->n_found; i++) {
		if (!memcmp(&p->found[i], like, offsetof(struct entry, offset)))
			return &p->found[i];
	}
	return NULL;
}

struct asked {
	struct qn_packed *packed;
	const char *name;
	int type, is_taken;
	struct entry entry;
};

/* Takes what an entry says; 1: these are the bytes. */
static int take_entry(struct qn_packed *p, const struct entry *entry, struct quern_matrix *matrix)
{
	const size_t n_bytes = qn_matrix_bytes(matrix);
	void *mapped;

	if (entry->offset > p->n_bytes || n_bytes > p->n_bytes - entry->offset)
		return 0;
	mapped = is_slow(p) ? qn_pages_map(p->fd, entry->offset, n_bytes) : NULL;
	if (!read_and_check(p, entry, mapped != NULL, mapped ? mapped : matrix->packed, n_bytes)) {
		qn_pages_free(mapped, n_bytes);
		memset(matrix->packed, 0, n_bytes);
		return 0;
	}
	if (mapped) {
		qn_engine_release(matrix);
		matrix->packed = mapped;
	}
	return 1;
}

/* A qn_engine_fill_fn. */
static int take(void *arg, struct quern_matrix *matrix)
{
	struct asked *asked = arg;
	struct qn_packed *p = asked->packed;
	const struct entry *entry;

	asked->entry = describe(p, matrix, asked->name, asked->type);
	entry = asked->entry.way ? find_entry(p, &asked->entry) : NULL;
	asked->is_taken = entry && take_entry(p, entry, matrix);
	for (int i = 0; i < p->model.n_files && !asked->is_taken && !p->is_missed; i++)
		qn_gguf_expect(p->model.files[i], 1);
	p->is_missed |= !asked->is_taken;
	return asked->is_taken;
}

/* ---- writing ---- */

static void fail(struct qn_packed *p)
{
	p->is_failed = 1;
	qn_draft_drop(&p->draft);
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Entries come in front when it is known what they are. */
static void begin(struct qn_packed *p)
{
	p->is_begun = 1;
	p->n_new_bytes = sizeof(struct head) + p->n_tensors * sizeof(struct entry);
	if (qn_draft_open(&p->draft, p->path, &p->error))
		fail(p);
}

static void write_matrix(struct qn_packed *p, struct entry *entry,
			 const struct quern_matrix *matrix)
{
	const size_t n_bytes = qn_matrix_bytes(matrix);

	entry->offset = round_up(p->n_new_bytes, n_bytes < HUGE_ALIGN ? ALIGN : HUGE_ALIGN);
	entry->sum = 0;
	for (size_t chunk = 0; chunk * CHUNK_BYTES < n_bytes && !p->is_failed; chunk++) {
		const size_t at = chunk * CHUNK_BYTES, left = n_bytes - at;
		const size_t n = left < CHUNK_BYTES ? left : CHUNK_BYTES;

		entry->sum += sum_bytes(matrix->packed + at, n, chunk);
		if (qn_draft_write_at(&p->draft, matrix->packed + at, n, entry->offset + at,
				      &p->error))
			fail(p);
	}
	p->n_new_bytes = entry->offset + n_bytes;
	/* The disk begins now; what is left for the end is short. */
	if (!p->is_failed)
		sync_file_range(p->draft.fd, (off_t)entry->offset, (off_t)n_bytes,
				SYNC_FILE_RANGE_WRITE);
}

static void write_head(struct qn_packed *p)
{
	struct head head = {.fingerprint = p->model.fingerprint,
			    .source = p->source,
			    .n_bytes = p->n_new_bytes,
			    .n_entries = (uint32_t)p->n,
			    .entry_bytes = sizeof(struct entry)};

	memcpy(head.magic, magic, sizeof magic);
	head.sum = sum_head(&head, p->entries);
	if (qn_draft_write_at(&p->draft, &head, sizeof head, 0, &p->error) ||
	    qn_draft_write_at(&p->draft, p->entries, p->n * sizeof *p->entries, sizeof head,
			      &p->error))
		fail(p);
}

int qn_packed_pack(struct qn_packed *p, const char *name, const struct quern_weights *weights,
		   struct quern_matrix **matrix, struct quern_error *err)
{
	struct asked asked = {.packed = p, .name = name, .type = weights->type};

	if (qn_engine_pack(p->model.engine, matrix, weights, take, &asked, err))
		return -1;
	p->entries[p->n] = asked.entry;
	p->matrices[p->n++] = *matrix;
	if (!asked.is_taken && !p->is_begun && !p->is_failed)
		begin(p);
	for (; p->is_begun && !p->is_failed && p->n_written < p->n; p->n_written++)
		write_matrix(p, &p->entries[p->n_written], p->matrices[p->n_written]);
	return 0;
}

/* ---- opening and closing ---- */

struct qn_packed *qn_packed_open(const struct qn_packed_model *model, const char *folder)
{
	struct qn_packed *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->model = *model;
	p->source = sum_source(model);
	p->fd = p->draft.fd = -1;
	for (int i = 0; i < model->n_files; i++)
		p->n_tensors += quern_gguf_n_tensors(model->files[i]);
	p->entries = calloc(p->n_tensors + 1, sizeof *p->entries);
	p->matrices = calloc(p->n_tensors + 1, sizeof *p->matrices);
	if (!p->entries || !p->matrices) {
		qn_packed_close(p, 0, NULL);
		return NULL;
	}
	if (snprintf(p->path, sizeof p->path, "%s/%016" PRIx64 ".packed", folder,
		     model->fingerprint) >= (int)sizeof p->path) {
		p->is_failed = 1;
		qn_error_set(&p->error, "%s: the name is too long", qn_draft_shown(folder));
	} else {
		mkdir(folder, 0777); /* if it is not there; if it cannot be, the file tells why */
		read_head(p);
	}
	return p;
}

void qn_packed_map(struct qn_packed *p)
{
	p->maps = 1;
}

int qn_packed_close(struct qn_packed *p, int is_whole, struct quern_error *err)
{
	int status = 0;

	if (!p)
		return 0;
	if (is_whole && p->is_begun && !p->is_failed)
		write_head(p);
	if (is_whole && p->is_begun && !p->is_failed && qn_draft_keep(&p->draft, &p->error))
		p->is_failed = 1;
	if (p->is_failed)
		status = qn_error_set(err, "%s", p->error.text);
	qn_draft_drop(&p->draft);
	if (p->fd >= 0)
		close(p->fd);
	free(p->found);
	free(p->entries);
	free(p->matrices);
	free(p);
	return status;
}
