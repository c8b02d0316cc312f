/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.c - main() of a fuzz target that makes up nothing: runs the files it is given, and
 * those in the folders it is given, and prints KTAP, one test a file.
 *
 * The first failure ends the program, because nothing can be trusted after it. The plan then shows
 * that results are missing, and the last result shows which input failed.
 */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sanitizer/common_interface_defs.h>

/* Inputs take milliseconds: only an input that loops takes this long. */
#define INPUT_SECONDS_MAX 300

static char **paths;
static unsigned path_count, current;

static void add_path(const char *folder, const char *name)
{
	size_t size = strlen(folder) + strlen(name) + 2;
	char *path = malloc(size);

	snprintf(path, size, "%s%s%s", folder, *folder ? "/" : "", name);
	paths = realloc(paths, (path_count + 1) * sizeof(*paths));
	paths[path_count++] = path;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_folder(const char *folder)
{
	DIR *open = opendir(folder);
	struct dirent *entry;

	if (!open) {
		perror(folder);
		exit(2);
	}
	while ((entry = readdir(open)))
		if (entry->d_name[0] != '.')
			add_path(folder, entry->d_name);
	closedir(open);
}

static void add_argument(const char *argument)
{
	struct stat status;

	if (stat(argument, &status) == 0 && S_ISDIR(status.st_mode))
		add_folder(argument);
	else
		add_path("", argument);
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void print_failure(const char *message)
{
	printf("not ok %u %s # %s\n", current + 1, name_of(paths[current]), message);
	fflush(stdout);
}

_Noreturn void fuzz_failed(const char *message)
{
	print_failure(message);
	_exit(1);
}

static void sanitizer_died(void)
{
	print_failure("a sanitizer ended it, see its report");
}

static void too_slow(int signal_number)
{
	static const char message[] = "# the next input loops: no end after 300 s\n";
	ssize_t written = write(STDOUT_FILENO, message, sizeof(message) - 1);

	(void)signal_number;
	(void)written;
	_exit(1);
}

/* In an allocation of just its size: AddressSanitizer sees the first byte read outside. */
static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat status;
	uint8_t *data;
	size_t size;

	if (!file || fstat(fileno(file), &status) != 0) {
		perror(path);
		exit(2);
	}
	size = (size_t)status.st_size;
	data = malloc(size ? size : 1);
	if (!data || fread(data, 1, size, file) != size) {
		perror(path);
		exit(2);
	}
	fclose(file);
	alarm(INPUT_SECONDS_MAX);
	LLVMFuzzerTestOneInput(data, size);
	alarm(0);
	free(data);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		add_argument(argv[i]);
	if (path_count == 0) {
		fprintf(stderr, "usage: %s FILE|FOLDER..., with at least one input\n", argv[0]);
		return 2;
	}
	qsort(paths, path_count, sizeof(*paths), compare_paths);
	__sanitizer_set_death_callback(sanitizer_died);
	signal(SIGALRM, too_slow);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n# %s\n1..%u\n", argv[0], path_count);
	for (current = 0; current < path_count; current++) {
		run_file(paths[current]);
		printf("ok %u %s\n", current + 1, name_of(paths[current]));
		free(paths[current]);
	}
	free(paths);
	return 0;
}
