;; Has all the functions, of other types than the contract's.
(component
  (core module $module
    (func (export "run")))
  (core instance $module (instantiate $module))
  (func $run (canon lift (core func $module "run")))
  (instance $mapping
    (export "check" (func $run))
    (export "open" (func $run))
    (export "map-batch" (func $run))
    (export "finish" (func $run)))
  (export "gristmill:mapper/field-mapping@0.1.0" (instance $mapping))
)
