;; Has the right name and none of the functions.
(component
  (instance $mapping)
  (export "gristmill:mapper/field-mapping@0.1.0" (instance $mapping))
)
