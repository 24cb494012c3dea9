;; Was built for a contract that there is not yet.
(component
  (instance $mapping)
  (export "gristmill:mapper/field-mapping@0.9.0" (instance $mapping))
)
