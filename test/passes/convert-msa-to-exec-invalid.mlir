// RUN: msa-opt %s --convert-msa-to-exec --split-input-file --verify-diagnostics

// Tests that everything which cannot be lowered is said in one run.
func.func @two(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>, %x: tensor<?x4x32xf32>, %pos: tensor<?xi64>) -> (tensor<?xi64>, tensor<?x4x32xf32>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  // expected-error @below {{still normalises its query: run msa-normalize-query first}}
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max normalize scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  // expected-error @below {{'msa.compress' cannot be turned into commands or a kernel}}
  %rows, %e = msa.compress %x documents %doc positions %pos chunk 4 mean : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
  return %d, %rows : tensor<?xi64>, tensor<?x4x32xf32>
}

// -----

// Tests that a bank which is computed in the entry is refused by name.
func.func @computed_bank(%x: tensor<?x4x32xf32>, %starts: tensor<?xi64>, %chunks: tensor<?xi64>) -> tensor<?x4x32xf32> {
  %k = msa.pool %x starts %starts mean : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  %bank = msa.bind %k : tensor<?x4x32xf32> -> !msa.bank<k: 4x32xf32>
  // expected-error @below {{reads bank field 'k', which is computed in this entry: expected an entry input}}
  %r = msa.gather %bank["k"] at %chunks : !msa.bank<k: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %r : tensor<?x4x32xf32>
}
