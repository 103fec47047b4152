/* object.c: the symbols of an object file. */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"

#define MOST_BYTES (64l << 20) /* of a file that is looked at */

struct bytes {
	const unsigned char *data;
	size_t n;
};

/* NULL: it does not fit. */
static const void *part(const struct bytes *file, uint64_t offset, uint64_t n)
{
	return offset <= file->n && n <= file->n - offset ? file->data + offset : NULL;
}

static int is_own(const struct bytes *names, uint32_t at, const char *kernel)
{
	const size_t n = strlen(kernel);

	return at < names->n && names->n - at > n && !memcmp(names->data + at, kernel, n) &&
	       names->data[at + n] == '_';
}

static double sum_functions(const struct bytes *symbols, const struct bytes *names,
			    const char *kernel)
{
	double sum = 0;

	for (size_t at = 0; at + sizeof(Elf64_Sym) <= symbols->n; at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;

		memcpy(&symbol, symbols->data + at, sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
		    is_own(names, symbol.st_name, kernel) && symbol.st_size <= MOST_BYTES)
			sum += (double)symbol.st_size;
	}
	return sum;
}

static int read_section(const struct bytes *file, const Elf64_Ehdr *head, uint32_t i,
			Elf64_Shdr *section)
{
	const void *from =
		i < head->e_shnum && head->e_shentsize == sizeof(*section)
			? part(file, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*section))
			: NULL;

	if (!from)
		return -1;
	memcpy(section, (const char *)from + i * sizeof(*section), sizeof(*section));
	return 0;
}

static double read_symbols(const struct bytes *file, const char *kernel)
{
	Elf64_Ehdr head;
	Elf64_Shdr section, link;
	double sum = 0;

	if (file->n < sizeof(head))
		return 0;
	memcpy(&head, file->data, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB)
		return 0;
	for (uint32_t i = 0; read_section(file, &head, i, &section) == 0; i++) {
		struct bytes symbols, names;

		if (section.sh_type != SHT_SYMTAB ||
		    read_section(file, &head, section.sh_link, &link) < 0)
			continue;
		symbols = (struct bytes){part(file, section.sh_offset, section.sh_size),
					 section.sh_size};
		names = (struct bytes){part(file, link.sh_offset, link.sh_size), link.sh_size};
		if (symbols.data && names.data)
			sum += sum_functions(&symbols, &names, kernel);
	}
	return sum;
}

double object_code_bytes(const char *path, const char *kernel)
{
	FILE *file = fopen(path, "rbe");
	unsigned char *data = NULL;
	double sum = 0;
	long n = 0;

	if (!file)
		return 0;
	if (fseek(file, 0, SEEK_END) == 0 && (n = ftell(file)) > 0 && n <= MOST_BYTES &&
	    fseek(file, 0, SEEK_SET) == 0)
		data = malloc((size_t)n);
	if (data && fread(data, 1, (size_t)n, file) == (size_t)n)
		sum = read_symbols(&(struct bytes){data, (size_t)n}, kernel);
	free(data);
	fclose(file);
	return sum;
}
