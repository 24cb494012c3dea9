;; Wants to make requests.
(component
  (import "wasi:http/outgoing-handler@0.2.0" (instance))
  (instance $mapping)
  (export "gristmill:mapper/field-mapping@0.1.0" (instance $mapping))
)
