//! `[mappers.NAME]`.

use super::tables;

tables! {
    /// A mapper of your own: a WebAssembly component for the contract `gristmill:mapper`. Integrations name it in their
    /// `mapper` table.
    struct RawMapper {
        /// The component's file. A relative path begins at the directory of the file that has this line.
        /// Required.
        ///
        /// ```toml
        /// path = "mappers/acme.wasm"
        /// ```
        path: String,
        /// The file's SHA-256, as `sha256sum` prints it. A file with another one is not loaded. Required.
        ///
        /// ```toml
        /// sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        /// ```
        sha256: String,
        /// Public keys of minisign, as they stand in the second line of a `.pub` file. Where there are any, one of them must have
        /// signed the component (`minisign -S -m acme.wasm`). The default is that nobody has to.
        ///
        /// ```toml
        /// signed_by = ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"]
        /// ```
        signed_by: Vec<String>,
        /// The file with that signature. The default is `path` with `.minisig` behind it.
        ///
        /// ```toml
        /// signature = "mappers/acme.wasm.minisig"
        /// ```
        signature: String,
        /// The only tenant whose integrations may use this mapper. The default is any.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
        /// Whether calls are saved on which the mapper fails (a trap, a limit, output that breaks the contract), for
        /// `gristmill mapper replay`: the rows that it was handed with its settings, in a private directory of the state
        /// directory. No secret of the configuration is among them, but your customers' data is. The default is false.
        ///
        /// ```toml
        /// save_failed = true
        /// ```
        save_failed: bool,
        /// How many of them are kept. The oldest go first.
        ///
        /// ```toml
        /// save_failed_files = 20
        /// ```
        save_failed_files: i64,
        /// How large they may be together.
        ///
        /// ```toml
        /// save_failed_size = "64MiB"
        /// ```
        save_failed_size: String,
        /// What the mapper may use.
        limits: RawLimits,
    }

    /// What the mapper may use. A file on which it wants more is failed.
    struct RawLimits {
        /// The size of the component's file.
        ///
        /// ```toml
        /// component_size = "32MiB"
        /// ```
        component_size: String,
        /// Memory of one instance. One in Python that keeps many rows needs `256MiB`.
        ///
        /// ```toml
        /// memory = "64MiB"
        /// ```
        memory: String,
        /// Table elements of one instance.
        ///
        /// ```toml
        /// table_elements = 100000
        /// ```
        table_elements: i64,
        /// Processor time for one batch.
        ///
        /// ```toml
        /// cpu_per_batch = "1s"
        /// ```
        cpu_per_batch: String,
        /// Processor time for one file, to which `cpu_per_mib` adds.
        ///
        /// ```toml
        /// cpu_per_file = "60s"
        /// ```
        cpu_per_file: String,
        /// Processor time for each MiB of the file.
        ///
        /// ```toml
        /// cpu_per_mib = "1s"
        /// ```
        cpu_per_mib: String,
        /// Processor time for compiling the component.
        ///
        /// ```toml
        /// compile_cpu = "30s"
        /// ```
        compile_cpu: String,
        /// Time by the clock for compiling it.
        ///
        /// ```toml
        /// compile_time = "2m"
        /// ```
        compile_time: String,
        /// Address space for compiling it.
        ///
        /// ```toml
        /// compile_memory = "2GiB"
        /// ```
        compile_memory: String,
    }
}
