module headrace/benchmarks/nulls3

go 1.22
